// SPDX-License-Identifier: Apache-2.0
// Normalisations and softmax over rows of every length: shorter than a warp, held in registers, too
// long for them, and not made of whole packs.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

struct Rows {
  int64_t rows, n;
};
constexpr Rows kRows[] = {{3, 1},    {9, 7},    {70, 64},  {5, 1000},
                          {3, 2049}, {2, 4104}, {2, 9000}, {1, 33000}};

class RowKernels : public testing::TestWithParam<DType> {
 protected:
  Array random(const Shape& shape, uint64_t seed) const {
    return Array({GetParam(), shape}, randomArray(DType::f64, shape, seed).values());
  }
  GpuRunner gpu_;
};

TEST_P(RowKernels, NormaliseLayers) {
  MESHPLAN_NEEDS_GPU();
  for (const Rows& r : kRows)
    expectAgreement(
        gpu_,
        {"LayerNormalization", {}, {random({r.rows, r.n}, 1), random({r.n}, 2), random({r.n}, 3)}},
        4);
}

TEST_P(RowKernels, NormaliseRootMeanSquares) {
  MESHPLAN_NEEDS_GPU();
  for (const Rows& r : kRows)
    expectAgreement(gpu_, {"RMSNormalization", {}, {random({r.rows, r.n}, 1), random({r.n}, 2)}},
                    4);
}

TEST_P(RowKernels, SumGradientsOfScalesOverManyRows) {
  MESHPLAN_NEEDS_GPU();
  const KernelCase c{
      "LayerNormalization", {}, {random({700, 24}, 1), random({24}, 2), random({24}, 3)}};
  const bool narrow = GetParam() == DType::bf16 || GetParam() == DType::f16;
  expectAgreement(gpu_, c, 4, narrow);
}

TEST_P(RowKernels, TakeSoftmax) {
  MESHPLAN_NEEDS_GPU();
  for (const std::string_view def : {"Softmax", "LogSoftmax"})
    for (const Rows& r : kRows) expectAgreement(gpu_, {def, {}, {random({r.rows, r.n}, 1)}}, 2);
}

TEST_P(RowKernels, TakeSoftmaxAlongOtherAxes) {
  MESHPLAN_NEEDS_GPU();
  for (const std::string_view def : {"Softmax", "LogSoftmax"}) {
    Attributes attributes;
    attributes.set("axis", int64_t{1});
    expectAgreement(gpu_, {def, attributes, {random({3, 50, 37}, 1)}}, 2);
  }
}

INSTANTIATE_TEST_SUITE_P(, RowKernels, testing::ValuesIn(kTypes),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(Softmax, MasksWithInfinityAndKeepsNaN) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const KernelCase c{"Softmax",
                     {},
                     {Array({DType::f32, {4, 3}}, {0, -infinity, 0,                  //
                                                   -infinity, -infinity, -infinity,  //
                                                   1, nan, 2,                        //
                                                   100, 0, -100})}};
  const std::vector<double> y = runForward(c, gpu.runner())[0].values();
  EXPECT_FLOAT_EQ(y[0], .5f);
  EXPECT_EQ(y[1], 0);
  for (size_t i = 3; i < 9; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
  EXPECT_FLOAT_EQ(y[9], 1);
  EXPECT_EQ(y[11], 0);
}

TEST(RowNorms, ScaleHalvesWithFloats) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const Array x = randomArray(DType::bf16, {10, 40}, 1), scale = randomArray(DType::f32, {40}, 2);
  const KernelCase mixed{"RMSNormalization", {}, {x, scale}};
  const KernelCase wide{"RMSNormalization", {}, {Array({DType::f32, {10, 40}}, x.values()), scale}};
  EXPECT_LE(largestError(runForward(mixed, gpu.runner())[0].values(), runForward(wide)[0].values()),
            1e-2);
  EXPECT_TRUE(gpu.onHost().empty());
}

}  // namespace
}  // namespace meshplan
