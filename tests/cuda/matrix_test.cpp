// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/cuda/cuda_transfers.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/cuda/strided_sum.h"
#include "backend/cuda/weight_gradient.h"
#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

double tolerance(DType t) {
  return t == DType::f64 ? 1e-12 : t == DType::f32 ? 1e-5 : t == DType::f16 ? 1e-3 : 8e-3;
}

class Products : public testing::Test {
 protected:
  void SetUp() override { MESHPLAN_NEEDS_GPU(); }

  CudaContext& context() {
    if (!context_) context_ = std::make_unique<CudaContext>(0, 0);
    return *context_;
  }
  void restart() { context_.reset(); }

  /// Elements for the GPU; reads them back when asked.
  struct OnGpu {
    Array host;
    void* data = nullptr;
  };
  OnGpu place(const Array& host) {
    OnGpu there{host, context().allocate(host.type().bytes().value, "a test")};
    uploadBytes(context(), there.data, host.view().data, host.type().bytes().value);
    return there;
  }
  OnGpu place(DType t, const Shape& shape, uint64_t seed) {
    return place(randomArray(t, shape, seed));
  }
  std::vector<double> valuesOf(const OnGpu& there) {
    const Array back = zeros(there.host.type().dtype, there.host.shape());
    downloadBytes(context(), back.view().data, there.data, back.type().bytes().value);
    return back.values();
  }

  static Matrices matrices(const OnGpu& x, int64_t columns, int64_t batch = 0) {
    return {x.data, x.host.type().dtype, columns, 1, batch};
  }

 private:
  std::unique_ptr<CudaContext> context_;
};

/// sum_k a[i, k] b[k, j] of dense row-major matrices.
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, int64_t m,
                            int64_t n, int64_t k) {
  std::vector<double> c(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t j = 0; j < n; ++j)
        c[static_cast<size_t>(i * n + j)] +=
            a[static_cast<size_t>(i * k + l)] * b[static_cast<size_t>(l * n + j)];
  return c;
}

TEST_F(Products, ScaleAddAndWidenInEveryType) {
  constexpr int64_t m = 24, n = 40, k = 33;
  for (const DType type : {DType::f64, DType::f32, DType::bf16, DType::f16})
    for (const bool wide : {false, true}) {
      const DType result = wide && type != DType::f64 ? DType::f32 : type;
      const OnGpu a = place(type, {m, k}, 1), b = place(type, {k, n}, 2),
                  c = place(result, {m, n}, 3);
      std::vector<double> expected = product(a.host.values(), b.host.values(), m, n, k);
      for (size_t i = 0; i < expected.size(); ++i)
        expected[i] = 0.5 * expected[i] + c.host.values()[i];
      multiply(context(), {.extents = {m, n, k},
                           .a = matrices(a, k),
                           .b = matrices(b, n),
                           .c = matrices(c, n),
                           .accumulate = true,
                           .scale = 0.5});
      EXPECT_LE(largestError(valuesOf(c), expected), tolerance(result)) << dtypeName(type) << wide;
    }
}

TEST_F(Products, ReadAndWriteTransposedAndPaddedMatrices) {
  constexpr int64_t m = 5, n = 6, k = 7, pad = 3;
  const OnGpu a = place(DType::f32, {k, m + pad}, 1), b = place(DType::f32, {n, k + pad}, 2),
              c = place(DType::f32, {n, m + pad}, 3);
  multiply(context(), {.extents = {m, n, k},
                       .a = matrices(a, m + pad).transposed(),
                       .b = matrices(b, k + pad).transposed(),
                       .c = matrices(c, m + pad).transposed()});
  std::vector<double> expected = c.host.values();
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += a.host.values()[static_cast<size_t>(l * (m + pad) + i)] *
               b.host.values()[static_cast<size_t>(j * (k + pad) + l)];
      expected[static_cast<size_t>(j * (m + pad) + i)] = sum;
    }
  EXPECT_LE(largestError(valuesOf(c), expected), 1e-5);
}

TEST_F(Products, AddABiasForEachMatrixOfABatch) {
  constexpr int64_t batch = 3, m = 8, n = 16, k = 8;
  for (const DType type : {DType::f64, DType::f32, DType::bf16}) {
    const OnGpu a = place(type, {batch, m, k}, 1), b = place(type, {k, n}, 2),
                bias = place(type, {batch, n}, 3), c = place(type, {batch, m, n}, 4);
    multiply(context(), {.extents = {m, n, k, batch},
                         .a = matrices(a, k, m * k),
                         .b = matrices(b, n),
                         .c = matrices(c, n, m * n),
                         .bias = bias.data,
                         .biasStride = n});
    std::vector<double> expected = product(a.host.values(), b.host.values(), batch * m, n, k);
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] += bias.host.values()[i / (m * n) * n + i % n];
    EXPECT_LE(largestError(valuesOf(c), expected), tolerance(type)) << dtypeName(type);
  }
}

TEST_F(Products, ApplyGeluAndKeepWhatItsGradientNeeds) {
  constexpr int64_t m = 16, n = 32, k = 8;
  for (const DType type : {DType::f32, DType::bf16}) {
    const OnGpu a = place(type, {m, k}, 1), b = place(type, {k, n}, 2), bias = place(type, {n}, 3),
                c = place(type, {m, n}, 4), before = place(type, {m, n}, 5);
    const bool offered = multiplyFused(context(), {.extents = {m, n, k},
                                                   .a = matrices(a, k),
                                                   .b = matrices(b, n),
                                                   .c = matrices(c, n),
                                                   .bias = bias.data,
                                                   .epilogue = MatrixEpilogue::gelu,
                                                   .preActivation = before.data});
    if (!offered) continue;
    std::vector<double> x = product(a.host.values(), b.host.values(), m, n, k), y(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] += bias.host.values()[i % n];
      y[i] = 0.5 * x[i] *
             (1 + std::tanh(std::sqrt(2 / M_PI) * (x[i] + 0.044715 * x[i] * x[i] * x[i])));
    }
    EXPECT_LE(largestError(valuesOf(before), x), tolerance(type)) << dtypeName(type);
    EXPECT_LE(largestError(valuesOf(c), y), 4 * tolerance(type)) << dtypeName(type);
  }
}

TEST_F(Products, ApplyRelu) {
  constexpr int64_t m = 16, n = 32, k = 8;
  const OnGpu a = place(DType::f32, {m, k}, 1), b = place(DType::f32, {k, n}, 2),
              c = place(DType::f32, {m, n}, 4);
  const bool offered = multiplyFused(context(), {.extents = {m, n, k},
                                                 .a = matrices(a, k),
                                                 .b = matrices(b, n),
                                                 .c = matrices(c, n),
                                                 .epilogue = MatrixEpilogue::relu});
  ASSERT_TRUE(offered);
  std::vector<double> expected = product(a.host.values(), b.host.values(), m, n, k);
  for (double& x : expected) x = std::max(x, 0.);
  EXPECT_LE(largestError(valuesOf(c), expected), 1e-5);
}

TEST_F(Products, SumTheColumnsOfWhatTheyMultiplyInEitherOrientation) {
  constexpr int64_t rows = 32, k = 16, n = 24;
  for (const bool transposed : {false, true}) {
    const OnGpu x = place(DType::f32, {rows, k}, 1), dy = place(DType::f32, {rows, n}, 2),
                dw = place(DType::f32, transposed ? Shape{n, k} : Shape{k, n}, 3),
                db = place(DType::f32, {n}, 4);
    const Matrices c = matrices(dw, transposed ? k : n);
    const bool offered = multiplyFused(context(), {.extents = {k, n, rows},
                                                   .a = matrices(x, k).transposed(),
                                                   .b = matrices(dy, n),
                                                   .c = transposed ? c.transposed() : c,
                                                   .columnSums = db.data});
    if (!offered) continue;
    std::vector<double> expected(n);
    for (size_t i = 0; i < dy.host.values().size(); ++i) expected[i % n] += dy.host.values()[i];
    EXPECT_LE(largestError(valuesOf(db), expected), 1e-5) << transposed;
  }
}

TEST_F(Products, GiveTheGradientsOfAWeightAndItsBiasTogetherWhichIsAChoiceThatIsKept) {
  constexpr int64_t rows = 32, k = 16, n = 24;
  std::vector<MatrixChoice> kept;
  for (const bool transposed : {false, true})
    for (const DType wide : {DType::f32, DType::f64})
      for (const bool again : {false, true}) {
        if (again) {
          restart();
          context().kept<MatrixChoices>().use(kept);
        }
        const OnGpu x = place(wide, {rows, k}, 1), dy = place(wide, {rows, n}, 2),
                    dw = place(wide, transposed ? Shape{n, k} : Shape{k, n}, 3),
                    db = place(wide, {n}, 4);
        const Matrices c = matrices(dw, transposed ? k : n);
        const TensorView dyView{dy.data, dy.host.type()}, dbView{db.data, db.host.type()};
        Operator op;
        op.def = &operatorDef("Linear");
        const auto run = [&](bool accumulate) {
          multiplyWithSums(context(), {op,
                                       {.extents = {k, n, rows},
                                        .a = matrices(x, k).transposed(),
                                        .b = matrices(dy, n),
                                        .c = transposed ? c.transposed() : c,
                                        .accumulate = accumulate},
                                       dyView,
                                       dbView,
                                       accumulate});
        };
        run(false);
        run(true);
        std::vector<double> sums(n), weights(k * n);
        for (size_t r = 0; r < rows; ++r)
          for (size_t j = 0; j < n; ++j) {
            const double g = dy.host.values()[r * n + j];
            sums[j] += 2 * g;
            for (size_t i = 0; i < k; ++i)
              weights[transposed ? j * k + i : i * n + j] += 2 * g * x.host.values()[r * k + i];
          }
        EXPECT_LE(largestError(valuesOf(db), sums), tolerance(wide)) << transposed;
        EXPECT_LE(largestError(valuesOf(dw), weights), tolerance(wide)) << transposed;
        const auto timed = context().kept<MatrixChoices>().timed();
        const auto ofSums = std::count_if(timed.begin(), timed.end(), [](const MatrixChoice& m) {
          return m.key.find("with the sums of columns") != std::string::npos;
        });
        EXPECT_EQ(ofSums, again ? 0 : 1);
        kept = timed;
        if (again) kept.clear();
        if (again) restart();
      }
}

TEST_F(Products, KeepFp32UnlessTf32IsAskedFor) {
  constexpr int64_t m = 64, n = 64, k = 256;
  const auto error = [&] {
    const OnGpu a = place(DType::f32, {m, k}, 1), b = place(DType::f32, {k, n}, 2),
                c = place(DType::f32, {m, n}, 3);
    multiply(context(),
             {.extents = {m, n, k}, .a = matrices(a, k), .b = matrices(b, n), .c = matrices(c, n)});
    return largestError(valuesOf(c), product(a.host.values(), b.host.values(), m, n, k));
  };
  EXPECT_LE(error(), 1e-5);
  context().kept<MatrixSettings>().tf32 = true;
  const double rounded = error();
  EXPECT_GT(rounded, 1e-5);
  EXPECT_LT(rounded, 2e-2);
}

TEST_F(Products, TellWhichAlgorithmsTheyTimedAndTakeThemBack) {
  const auto multiplyOnce = [&] {
    const OnGpu a = place(DType::bf16, {64, 32}, 1), b = place(DType::bf16, {32, 48}, 2),
                c = place(DType::bf16, {64, 48}, 3);
    multiply(context(), {.extents = {64, 48, 32},
                         .a = matrices(a, 32),
                         .b = matrices(b, 48),
                         .c = matrices(c, 48)});
    return valuesOf(c);
  };
  const std::vector<double> first = multiplyOnce();
  multiplyOnce();
  const std::vector<MatrixChoice> timed = context().kept<MatrixChoices>().timed();
  ASSERT_EQ(timed.size(), 1);
  EXPECT_THAT(timed[0].key, testing::HasSubstr("64 x 48 x 32 bf16"));
  EXPECT_GT(timed[0].seconds, 0);
  restart();
  context().kept<MatrixChoices>().use(timed);
  EXPECT_EQ(multiplyOnce(), first);
  EXPECT_THAT(context().kept<MatrixChoices>().timed(), testing::IsEmpty());
}

TEST_F(Products, TakeTheLibrarysFavouriteWhereNothingIsTimed) {
  context().kept<MatrixSettings>().timesCandidates = false;
  const OnGpu a = place(DType::f32, {8, 8}, 1), c = place(DType::f32, {8, 8}, 3);
  multiply(context(),
           {.extents = {8, 8, 8}, .a = matrices(a, 8), .b = matrices(a, 8), .c = matrices(c, 8)});
  EXPECT_LE(largestError(valuesOf(c), product(a.host.values(), a.host.values(), 8, 8, 8)), 1e-5);
  EXPECT_THAT(context().kept<MatrixChoices>().timed(), testing::IsEmpty());
}

TEST_F(Products, TimingDoesNotAddTwice) {
  const OnGpu a = place(DType::f32, {8, 8}, 1), c = place(DType::f32, {8, 8}, 3);
  std::vector<double> expected = product(a.host.values(), a.host.values(), 8, 8, 8);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += c.host.values()[i];
  multiply(context(), {.extents = {8, 8, 8},
                       .a = matrices(a, 8),
                       .b = matrices(a, 8),
                       .c = matrices(c, 8),
                       .accumulate = true});
  EXPECT_LE(largestError(valuesOf(c), expected), 1e-5);
}

TEST_F(Products, StridedSumsMoveSumAndRound) {
  const OnGpu from = place(DType::bf16, {5, 7, 300}, 1), to = place(DType::f32, {300, 5}, 2);
  stridedSum(context(), {.dims = {{300, 1, 5}, {5, 7 * 300, 1}},
                         .summed = {{7, 300}},
                         .from = from.data,
                         .fromType = DType::bf16,
                         .to = to.data,
                         .toType = DType::f32,
                         .scale = 0.5,
                         .accumulate = true});
  std::vector<double> expected = to.host.values();
  for (size_t i = 0; i < from.host.values().size(); ++i)
    expected[i % 300 * 5 + i / 2100] += 0.5 * from.host.values()[i];
  EXPECT_LE(largestError(valuesOf(to), expected), 1e-5);
}

}  // namespace
}  // namespace meshplan
