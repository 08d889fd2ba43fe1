// SPDX-License-Identifier: Apache-2.0
// Every operator on the GPU against the processor: forward, backward, added to what is there, in
// every dtype, and as the part that a rank sees.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/backend/operator_cases.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_runner.h"

namespace meshplan {
namespace {

bool isLoss(const KernelCase& c) {
  return operatorDef(c.def).opClass == OpClass::loss;
}

/// Kernels round at the same places, but sum in another order.
double tolerance(DType type) {
  return type == DType::f64 ? 1e-11 : type == DType::f32 ? 2e-5 : 2e-2;
}

KernelCase in(DType dtype, const KernelCase& c) {
  KernelCase narrow = c;
  for (Array& a : narrow.inputs)
    if (isFloating(a.type().dtype)) a = Array({dtype, a.shape()}, a.values());
  if (c.def == "Cast") narrow.attributes.set("to", std::string(dtypeName(dtype)));
  return narrow;
}

std::vector<Array> weightsOf(const KernelCase& c, const std::vector<Array>& outputs) {
  std::vector<Array> weights;
  for (const Array& y : outputs) {
    if (!isFloating(y.type().dtype)) break;
    if (c.def == "Attention" && !weights.empty()) break;
    weights.push_back(isLoss(c) ? Array(y.type(), {1.})
                                : randomArray(y.type().dtype, y.shape(), 90 + weights.size()));
  }
  return isLoss(c) ? std::vector<Array>{} : weights;
}

/// Sums of what kernels round to bf16 once.
std::vector<std::optional<Array>> sumsFor(const std::vector<std::optional<Array>>& gradients) {
  std::vector<std::optional<Array>> sums(gradients.size());
  for (size_t i = 0; i < sums.size(); ++i)
    if (gradients[i]) sums[i] = randomArray(gradients[i]->type().dtype, gradients[i]->shape(), i);
  return sums;
}

class EveryOperatorOnTheGpu : public testing::TestWithParam<std::tuple<std::string_view, DType>> {
 protected:
  std::string_view def() const { return std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }

  void expectEqual(const std::vector<std::optional<Array>>& found,
                   const std::vector<std::optional<Array>>& expected, const std::string& what) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      if (!expected[i]) continue;
      EXPECT_LE(largestError(*found[i], *expected[i]), tolerance(dtype())) << what << " " << i;
    }
  }
};

TEST_P(EveryOperatorOnTheGpu, DoesWhatTheProcessorDoes) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const std::vector<KernelCase> cases = operatorCases(def());
  for (size_t i = 0; i < cases.size(); ++i) {
    const KernelCase c = in(dtype(), cases[i]);
    const std::string name = caseName(c, i);
    const std::vector<Array> expected = runForward(c), found = runForward(c, gpu.runner());
    for (size_t o = 0; o < expected.size(); ++o)
      EXPECT_LE(largestError(found[o], expected[o]), tolerance(dtype())) << name << " output " << o;
    const std::vector<Array> weights = weightsOf(c, expected);
    const std::optional<DType> wide =
        dtype() == DType::bf16 ? std::optional(DType::f32) : std::nullopt;
    const auto gradients = runBackward(c, expected, weights, nullptr, wide);
    expectEqual(runBackward(c, expected, weights, nullptr, wide, gpu.runner()), gradients,
                name + " gradient");
    if (dtype() == DType::bf16) continue;  // sums of bf16 are not accumulated
    const auto sums = sumsFor(gradients);
    expectEqual(runBackward(c, expected, weights, &sums, {}, gpu.runner()),
                runBackward(c, expected, weights, &sums), name + " accumulated gradient");
  }
  RecordProperty("on_host", static_cast<int>(gpu.onHost().size()));
}

std::vector<std::string_view> operatorsWithCases() {
  std::vector<std::string_view> names;
  for (const OperatorDef& def : operatorDefs())
    if (!operatorCases(def.name).empty()) names.push_back(def.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(, EveryOperatorOnTheGpu,
                         testing::Combine(testing::ValuesIn(operatorsWithCases()),
                                          testing::Values(DType::f64, DType::f32, DType::bf16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::string(dtypeName(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace meshplan
