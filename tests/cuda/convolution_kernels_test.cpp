// SPDX-License-Identifier: Apache-2.0
// Convolutions on the GPU against the processor, of random geometry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "backend/cuda/channels_last.h"
#include "backend/cuda/cuda_transfers.h"
#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_runner.h"

namespace meshplan {
namespace {

double tolerance(DType t) {
  return t == DType::f64 ? 1e-11 : t == DType::f32 ? 5e-5 : 3e-2;
}

class Draws {
 public:
  int64_t between(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random_);
  }
  /// Small values, so that long sums stay near 1.
  Array array(DType t, const Shape& shape) {
    std::vector<double> values = randomArray(t, shape, random_()).values();
    for (double& v : values) v *= 0.25;
    return Array({t, shape}, values);
  }

 private:
  std::mt19937_64 random_{23};
};

KernelCase convolutionCase(Draws& draw, std::string_view def) {
  constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16};
  const DType t = kTypes[draw.between(0, 2)];
  const bool transposed = def == "ConvTranspose";
  const int64_t dims = draw.between(1, 3), groups = draw.between(0, 2) == 0 ? 2 : 1;
  const int64_t channels = draw.between(1, 5), filters = draw.between(1, 5);
  std::vector<int64_t> strides, dilations, pads(static_cast<size_t>(2 * dims));
  Shape x{draw.between(1, 3), groups * channels}, w;
  w = transposed ? Shape{groups * channels, filters} : Shape{groups * filters, channels};
  for (int64_t d = 0; d < dims; ++d) {
    w.push_back(draw.between(1, 3));
    strides.push_back(draw.between(1, 2));
    dilations.push_back(draw.between(1, 2));
    pads[static_cast<size_t>(d)] = draw.between(0, w.back() - 1);
    pads[static_cast<size_t>(d + dims)] = draw.between(0, w.back() - 1);
    x.push_back(draw.between(6, 11));
  }
  KernelCase c{def,
               {{"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"group", groups}},
               {draw.array(t, x), draw.array(t, w)}};
  if (draw.between(0, 1)) c.inputs.push_back(draw.array(t, {groups * filters}));
  return c;
}

void expectEqualOnBoth(GpuRunner& gpu, const KernelCase& c) {
  const DType dtype = c.inputs[0].type().dtype;
  SCOPED_TRACE(std::string(c.def) + " " + std::string(dtypeName(dtype)) + " " +
               shapeText(c.inputs[0].shape()) + " " + shapeText(c.inputs[1].shape()));
  const std::vector<Array> expected = runForward(c), found = runForward(c, gpu.runner());
  EXPECT_LE(largestError(found[0], expected[0]), tolerance(dtype));
  const std::vector<Array> dy{randomArray(dtype, expected[0].shape(), 77)};
  const auto wide = dtype == DType::bf16 ? std::optional(DType::f32) : std::nullopt;
  const auto gradients = runBackward(c, expected, dy, nullptr, wide);
  std::vector<std::optional<Array>> sums(gradients.size());
  for (size_t i = 0; i < sums.size(); ++i)
    if (gradients[i]) sums[i] = randomArray(gradients[i]->type().dtype, gradients[i]->shape(), i);
  const auto expectSame = [&](const std::vector<std::optional<Array>>& on,
                              const std::vector<std::optional<Array>>& reference) {
    for (size_t i = 0; i < on.size(); ++i) {
      if (!reference[i]) continue;
      EXPECT_LE(largestError(*on[i], *reference[i]), tolerance(dtype)) << i;
    }
  };
  expectSame(runBackward(c, expected, dy, nullptr, wide, gpu.runner()), gradients);
  if (dtype == DType::bf16) return;  // sums of bf16 are not accumulated
  expectSame(runBackward(c, expected, dy, &sums, wide, gpu.runner()),
             runBackward(c, expected, dy, &sums, wide));
}

class DrawnConvolutions : public testing::TestWithParam<std::string_view> {};

TEST_P(DrawnConvolutions, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  Draws draw;
  for (int i = 0; i < 24; ++i) expectEqualOnBoth(gpu, convolutionCase(draw, GetParam()));
  EXPECT_THAT(gpu.onHost(), testing::IsEmpty());
}

TEST(ChannelsLast, MovesThereAndBack) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  for (const Shape& shape : {Shape{2, 3, 5, 7}, {1, 64, 33, 2}, {70, 1, 3, 3}, {40, 37, 1, 1}}) {
    const Array host = randomArray(DType::bf16, shape, 5);
    const int64_t bytes = host.type().bytes().value, elements = host.type().elements();
    void *first = context.allocate(bytes, "a test"), *last = context.allocate(bytes, "a test"),
         *back = context.allocate(bytes, "a test");
    uploadBytes(context, first, host.view().data, bytes);
    toChannelsLast(context, {first, host.type()}, last);
    fromChannelsLast(context, last, {back, host.type()});
    const Array moved = zeros(DType::bf16, shape), same = zeros(DType::bf16, shape);
    downloadBytes(context, moved.view().data, last, bytes);
    downloadBytes(context, same.view().data, back, bytes);
    EXPECT_EQ(same.values(), host.values()) << shapeText(shape);
    const int64_t channels = shape[1], positions = shape[2] * shape[3];
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t n = i / (channels * positions), c = i / positions % channels, p = i % positions;
      ASSERT_EQ(moved.values()[static_cast<size_t>((n * positions + p) * channels + c)],
                host.values()[static_cast<size_t>(i)])
          << shapeText(shape) << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, DrawnConvolutions, testing::Values("Conv", "ConvTranspose"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace meshplan
