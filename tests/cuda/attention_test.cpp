// SPDX-License-Identifier: Apache-2.0
// Attention on the GPU against the processor in fp64, from the same rounded inputs.
#include <gtest/gtest.h>

#include <random>

#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_runner.h"

namespace meshplan {
namespace {

struct Extents {
  int64_t b, h, g, q, t, d, v;
};

KernelCase attention(DType dtype, Extents e, Attributes attributes) {
  KernelCase c{
      "Attention",
      std::move(attributes),
      {randomArray(dtype, {e.b, e.h, e.q, e.d}, 1), randomArray(dtype, {e.b, e.g, e.t, e.d}, 2),
       randomArray(dtype, {e.b, e.g, e.t, e.v}, 3)}};
  c.seed = 7;
  return c;
}

Attributes rules(const std::string& implementation, int64_t causal) {
  return {{"implementation", implementation}, {"causal", causal}};
}

KernelCase masked(KernelCase c, Array mask) {
  c.inputs.push_back(std::move(mask));
  return c;
}

Array booleans(const Shape& shape) {
  std::vector<double> values = randomArray(DType::f64, shape, 9).values();
  for (double& v : values) v = v > -0.3;
  return {{DType::boolean, shape}, values};
}

KernelCase widened(const KernelCase& c) {
  KernelCase wide = c;
  for (Array& a : wide.inputs)
    if (isFloating(a.type().dtype)) a = Array({DType::f64, a.shape()}, a.values());
  return wide;
}

std::string describe(const KernelCase& c) {
  std::string text = c.attributes.getString("implementation", "") + " " +
                     std::string(dtypeName(c.inputs[0].type().dtype));
  if (c.attributes.getInt("causal", 0)) text += " causal";
  for (const Array& a : c.inputs) text += " " + shapeText(a.shape());
  return text;
}

/// Of values below 1 that were rounded once, and of probabilities that were rounded before.
double tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return 1e-12;
    case DType::f32:
      return 1e-5;
    case DType::f16:
      return 4e-3;
    default:
      return 3e-2;
  }
}

double difference(const Array& found, const Array& expected) {
  return largestError(found.values(), expected.values());
}

class GpuAttention : public testing::Test {
 protected:
  void expectAgreement(const KernelCase& c) {
    GpuRunner gpu;
    const DType type = c.inputs[0].type().dtype;
    const KernelCase wide = widened(c);
    const std::vector<Array> expected = runForward(wide);
    const std::vector<Array> found = runForward(c, gpu.runner());
    for (size_t o = 0; o < expected.size(); ++o)
      EXPECT_LE(difference(found[o], expected[o]), tolerance(type))
          << describe(c) << " output " << o;
    const Array dy = randomArray(type, found[0].shape(), 4);
    const auto gradients = runBackward(c, found, {dy}, nullptr, {}, gpu.runner());
    const auto exact = runBackward(wide, expected, {Array({DType::f64, dy.shape()}, dy.values())});
    for (size_t i = 0; i < exact.size(); ++i) {
      if (!exact[i]) continue;
      EXPECT_LE(difference(*gradients[i], *exact[i]), 2 * tolerance(type))
          << describe(c) << " gradient " << i;
    }
    EXPECT_TRUE(gpu.onHost().empty());
  }
};

class GpuAttentionIn : public GpuAttention,
                       public testing::WithParamInterface<std::tuple<DType, const char*>> {
 protected:
  DType dtype() const { return std::get<0>(GetParam()); }
  std::string kind() const { return std::get<1>(GetParam()); }
};

TEST_P(GpuAttentionIn, IsThatOfTheProcessorForExtentsDrawnAtRandom) {
  MESHPLAN_NEEDS_GPU();
  std::mt19937_64 random(static_cast<uint64_t>(dtype()) + kind().size());
  const auto draw = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  for (int i = 0; i < 3; ++i) {
    const int64_t g = draw(1, 2), h = g * draw(1, 3), q = draw(1, 90);
    const int64_t causal = draw(0, 1), t = causal ? q : draw(1, 150);
    expectAgreement(
        attention(dtype(), {1, h, g, q, t, draw(1, 40), draw(1, 80)}, rules(kind(), causal)));
  }
}

TEST_P(GpuAttentionIn, AddsMasksAndTheirGradients) {
  MESHPLAN_NEEDS_GPU();
  const Extents e{2, 4, 2, 20, 70, 8, 16};
  const Attributes plain = rules(kind(), 0), causal = rules(kind(), 1);
  expectAgreement(masked(attention(dtype(), e, plain), randomArray(dtype(), {1, 4, 20, 70}, 5)));
  expectAgreement(masked(attention(dtype(), e, causal), randomArray(dtype(), {2, 1, 1, 70}, 5)));
  expectAgreement(masked(attention(dtype(), e, plain), randomArray(dtype(), {20, 1}, 5)));
  expectAgreement(masked(attention(dtype(), e, plain), booleans({2, 1, 20, 70})));
}

TEST_P(GpuAttentionIn, DropsTheSameProbabilitiesAndCountsFromTheRanksPart) {
  MESHPLAN_NEEDS_GPU();
  Attributes dropping = rules(kind(), 1);
  dropping.set("dropout", 0.25);
  for (const Attributes& attributes : {rules(kind(), 1), dropping}) {
    KernelCase c = attention(dtype(), {1, 4, 2, 33, 70, 16, 24}, attributes);
    c.axes = {{1, 1, 3}, {2, 2, 6}, {0, 2, 2}, {25, 33, 66}, {0, 70, 70}, {0, 16, 16}, {0, 24, 24}};
    expectAgreement(c);
    c.axes[3] = {0, 33, 100};  // the first queries see none of the later keys
    c.axes[4] = {20, 70, 100};
    expectAgreement(c);
  }
}

/// Head sizes that tensor cores multiply, in 16-bit types.
class TensorCoreAttention : public GpuAttention, public testing::WithParamInterface<DType> {};

TEST_P(TensorCoreAttention, IsThatOfTheProcessorForEveryHeadSize) {
  MESHPLAN_NEEDS_GPU();
  for (const int64_t causal : {0, 1}) {
    expectAgreement(attention(GetParam(), {1, 2, 1, 150, 150, 64, 64}, rules("flash", causal)));
    expectAgreement(attention(GetParam(), {1, 1, 1, 70, 100, 128, 128}, rules("flash", causal)));
    expectAgreement(attention(GetParam(), {1, 3, 1, 33, 65, 80, 24}, rules("flash", causal)));
    expectAgreement(attention(GetParam(), {2, 2, 2, 17, 40, 16, 32}, rules("flash", causal)));
  }
}

TEST_P(TensorCoreAttention, TakesMasksDropoutAndPartsOfTheWhole) {
  MESHPLAN_NEEDS_GPU();
  Attributes dropping = rules("flash", 1);
  dropping.set("dropout", 0.25);
  for (const int64_t d : {64, 128}) {
    KernelCase c = attention(GetParam(), {1, 4, 2, 33, 70, d, d}, dropping);
    c.axes = {{1, 1, 3}, {2, 2, 6}, {0, 2, 2}, {25, 33, 66}, {0, 70, 70}, {0, d, d}, {0, d, d}};
    expectAgreement(c);
    c.axes[3] = {0, 33, 100};  // the first queries see none of the later keys
    c.axes[4] = {20, 70, 100};
    expectAgreement(c);
    c.attributes = rules("flash", 1);
    expectAgreement(c);
    expectAgreement(masked(attention(GetParam(), {1, 2, 1, 33, 70, d, 64}, rules("flash", 0)),
                           randomArray(GetParam(), {1, 2, 33, 70}, 5)));
    expectAgreement(masked(attention(GetParam(), {1, 2, 1, 33, 70, d, 64}, rules("flash", 0)),
                           booleans({1, 1, 33, 70})));
  }
}

TEST_P(TensorCoreAttention, HasTheSameBitsEveryTime) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const KernelCase c = attention(GetParam(), {1, 2, 1, 70, 70, 64, 64}, rules("flash", 1));
  const auto first = runForward(c, gpu.runner()), second = runForward(c, gpu.runner());
  EXPECT_EQ(first, second);
  const Array dy = randomArray(GetParam(), first[0].shape(), 4);
  EXPECT_EQ(runBackward(c, first, {dy}, nullptr, {}, gpu.runner()),
            runBackward(c, first, {dy}, nullptr, {}, gpu.runner()));
}

INSTANTIATE_TEST_SUITE_P(, TensorCoreAttention, testing::Values(DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

INSTANTIATE_TEST_SUITE_P(, GpuAttentionIn,
                         testing::Combine(testing::Values(DType::f64, DType::f32, DType::bf16,
                                                          DType::f16),
                                          testing::Values("flash", "math")),
                         [](const auto& info) {
                           return std::string(std::get<1>(info.param)) + "_" +
                                  std::string(dtypeName(std::get<0>(info.param)));
                         });

}  // namespace
}  // namespace meshplan
