// SPDX-License-Identifier: Apache-2.0
// Reductions of every layout: whole tensors, rows, columns, middle axes, and lines of many parts.
#include <gtest/gtest.h>

#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

constexpr std::string_view kReductions[] = {"ReduceSum",       "ReduceMean",   "ReduceMax",
                                            "ReduceMin",       "ReduceL1",     "ReduceL2",
                                            "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};

class Reductions : public testing::TestWithParam<DType> {
 protected:
  /// Positive, and of different sizes.
  Array numbers(const Shape& shape) const {
    std::vector<double> values;
    for (int64_t i = 0; i < elementCount(shape); ++i)
      values.push_back(.25 + static_cast<double>(i * 7919 % 61) / 64);
    return Array({GetParam(), shape}, values);
  }
};

TEST_P(Reductions, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  struct Layout {
    Shape x;
    std::vector<int64_t> axes;
  };
  const Layout layouts[] = {{{3, 7}, {}},      {{5, 33}, {1}},         {{40, 9}, {0}},
                            {{2, 70, 5}, {1}}, {{2, 3, 4, 5}, {1, 2}}, {{3, 1, 4}, {0, 1}}};
  for (const std::string_view def : kReductions)
    for (const Layout& l : layouts) {
      Attributes attributes;
      if (!l.axes.empty()) attributes.set("axes", l.axes);
      // Sums of many numbers are large; the agreement asked for is of numbers near 1.
      expectAgreement(gpu, {def, attributes, {numbers(l.x)}}, 4);
    }
}

TEST_P(Reductions, JoinPartsOfLongLines) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const std::string_view def : {"ReduceMean", "ReduceMax", "ReduceLogSumExp"}) {
    expectAgreement(gpu, {def, {}, {numbers({9000})}}, 4);
    Attributes attributes;
    attributes.set("axes", std::vector<int64_t>{0});
    expectAgreement(gpu, {def, attributes, {numbers({700, 3})}}, 4);
  }
}

TEST_P(Reductions, CumulateAndFindExtremes) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const int64_t axis : {0, 1, 2}) {
    Attributes attributes;
    attributes.set("axis", axis);
    expectAgreement(gpu, {"CumSum", attributes, {numbers({3, 5, 7})}}, 4);
    for (const std::string_view def : {"ArgMax", "ArgMin"}) {
      const KernelCase c{def, attributes, {numbers({3, 5, 7})}};
      const KernelCase onHost = inType(GetParam() == DType::f16 ? DType::f32 : GetParam(), c);
      EXPECT_EQ(runForward(c, gpu.runner())[0].values(), runForward(onHost)[0].values());
    }
  }
  EXPECT_TRUE(gpu.onHost().empty());
}

INSTANTIATE_TEST_SUITE_P(, Reductions,
                         testing::Values(DType::f64, DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(ReduceMax, IsNaNWhereOneNumberIs) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  std::vector<double> x(600, 1.);
  x[300] = std::nan("");
  EXPECT_TRUE(std::isnan(
      runForward({"ReduceMax", {}, {Array({DType::f32, {600}}, x)}}, gpu.runner())[0].values()[0]));
}

}  // namespace
}  // namespace meshplan
