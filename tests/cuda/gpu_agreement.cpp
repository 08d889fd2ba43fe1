// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda/gpu_agreement.h"

#include <gtest/gtest.h>

namespace meshplan {
namespace {

DType floatingType(const KernelCase& c) {
  for (const Array& a : c.inputs)
    if (isFloating(a.type().dtype)) return a.type().dtype;
  return DType::f32;
}

double tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return 1e-11;
    case DType::f32:
      return 2e-5;
    case DType::f16:
      return 4e-3;
    default:
      return 2e-2;
  }
}

Array inType(DType dtype, const Array& a) {
  return isFloating(a.type().dtype) ? Array({dtype, a.shape()}, a.values()) : a;
}

std::vector<Array> weightsOf(const KernelCase& c, const std::vector<Array>& outputs) {
  if (operatorDef(c.def).opClass == OpClass::loss) return {};
  std::vector<Array> weights;
  for (const Array& y : outputs) {
    if (!isFloating(y.type().dtype)) break;
    weights.push_back(randomArray(y.type().dtype, y.shape(), 90 + weights.size()));
  }
  return weights;
}

void expectNear(const std::vector<double>& found, const std::vector<double>& expected, double most,
                const std::string& what) {
  EXPECT_LE(largestError(found, expected), most) << what;
}

using Gradients = std::vector<std::optional<Array>>;

void expectNear(const Gradients& found, const Gradients& expected, double most,
                const std::string& what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    if (expected[i])
      expectNear(found[i]->values(), expected[i]->values(), most,
                 what + " of input " + std::to_string(i));
}

std::vector<Array> inType(DType dtype, std::vector<Array> arrays) {
  for (Array& a : arrays) a = inType(dtype, a);
  return arrays;
}

Gradients sumsFor(const Gradients& gradients, DType type) {
  Gradients sums(gradients.size());
  for (size_t i = 0; i < sums.size(); ++i)
    if (gradients[i]) sums[i] = inType(type, randomArray(DType::f32, gradients[i]->shape(), i + 7));
  return sums;
}

}  // namespace

KernelCase inType(DType dtype, const KernelCase& c) {
  KernelCase narrow = c;
  for (Array& a : narrow.inputs) a = inType(dtype, a);
  return narrow;
}

void expectAgreement(GpuRunner& gpu, const KernelCase& c, double slack, bool wideGradients) {
  const DType type = floatingType(c);
  const double most = slack * tolerance(type);
  const std::string name = std::string(c.def) + " in " + std::string(dtypeName(type));
  // fp16 numbers are fp32 numbers: only what is stored is rounded otherwise.
  const DType hostType = type == DType::f16 ? DType::f32 : type;
  const KernelCase onHost = inType(hostType, c);
  const std::vector<Array> expected = runForward(onHost), found = runForward(c, gpu.runner());
  ASSERT_EQ(found.size(), expected.size());
  for (size_t o = 0; o < found.size(); ++o)
    expectNear(found[o].values(), expected[o].values(), most,
               name + " output " + std::to_string(o));

  const std::vector<Array> weights = weightsOf(c, found);
  // Both go on from the same outputs, so that a rounding is not counted twice.
  const std::vector<Array> hostOutputs = inType(hostType, found);
  const std::vector<Array> hostWeights = inType(hostType, weights);
  const std::optional<DType> wide = wideGradients ? std::optional(DType::f32) : std::nullopt;
  const Gradients gradients = runBackward(onHost, hostOutputs, hostWeights, nullptr, wide);
  expectNear(runBackward(c, found, weights, nullptr, wide, gpu.runner()), gradients, most,
             name + " gradient");
  if (type != DType::bf16 && !wideGradients)
    expectNear(
        runBackward(c, found, weights, &static_cast<const Gradients&>(sumsFor(gradients, type)), {},
                    gpu.runner()),
        runBackward(onHost, hostOutputs, hostWeights,
                    &static_cast<const Gradients&>(sumsFor(gradients, hostType))),
        most, name + " accumulated gradient");
  EXPECT_TRUE(gpu.onHost().empty()) << name << " ran on the host";
}

}  // namespace meshplan
