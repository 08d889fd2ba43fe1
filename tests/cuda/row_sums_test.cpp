// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/row_sums.h"

#include <gtest/gtest.h>

#include "backend/cuda/cuda_transfers.h"
#include "core/error.h"
#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

TensorView onGpu(CudaContext& context, const Array& array) {
  const int64_t bytes = array.type().bytes().value;
  TensorView view{context.allocate(bytes, "a test"), array.type()};
  uploadBytes(context, view.data, array.view().data, bytes);
  return view;
}

Array summed(CudaContext& context, const Array& from, const Array& to, bool accumulate,
             int64_t groups) {
  Operator op;
  op.def = &operatorDef("Linear");
  op.name = "a product";
  const TensorView there = onGpu(context, to);
  sumRows(context, op, onGpu(context, from), there, accumulate, groups);
  Array result = zeros(to.type().dtype, to.shape());
  downloadBytes(context, result.view().data, there.data, to.type().bytes().value);
  return result;
}

std::vector<double> expectedSums(const Array& from, const Array& to, bool accumulate,
                                 int64_t groups) {
  const std::vector<double> x = from.values();
  std::vector<double> sums = to.values();
  if (!accumulate) sums.assign(sums.size(), 0);
  const size_t n = sums.size() / static_cast<size_t>(groups);
  const size_t rows = sums.empty() ? 0 : x.size() / sums.size();
  for (size_t i = 0; i < x.size(); ++i) sums[i / (rows * n) * n + i % n] += x[i];
  return sums;
}

/// In units of the size that the sum of that many numbers of up to 1 may reach.
double tolerance(DType type, int64_t rows) {
  const double one = type == DType::f64   ? 1e-15
                     : type == DType::f32 ? 3e-7
                     : type == DType::f16 ? 1e-3
                                          : 8e-3;
  return one * std::max(4., std::sqrt(static_cast<double>(rows)));
}

class RowSums : public testing::TestWithParam<std::tuple<DType, DType>> {};

TEST_P(RowSums, AreTheSumsOverTheRows) {
  MESHPLAN_NEEDS_GPU();
  const auto [from, to] = GetParam();
  CudaContext context(0, 0);
  struct Case {
    int64_t groups, rows, n;
  };
  for (const Case& c : {Case{1, 1, 1}, Case{1, 7, 3}, Case{1, 300, 40}, Case{1, 1000, 264},
                        Case{1, 129, 777}, Case{3, 50, 16}, Case{2, 333, 5}})
    for (const bool accumulate : {false, true}) {
      const Array x = randomArray(from, {c.groups, c.rows, c.n}, 1);
      const Array y = randomArray(to, {c.groups, c.n}, 2);
      const Array found = summed(context, x, y, accumulate, c.groups);
      const auto expected = expectedSums(x, y, accumulate, c.groups);
      const double most =
          std::max(tolerance(from == DType::f64 ? to : DType::f32, c.rows), tolerance(to, 1));
      EXPECT_LE(largestError(found.values(), expected),
                to == DType::f64 && from == to ? 1e-12 : most)
          << c.groups << " x " << c.rows << " x " << c.n << (accumulate ? " added" : "");
    }
}

constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16, DType::f16};
INSTANTIATE_TEST_SUITE_P(, RowSums,
                         testing::Combine(testing::ValuesIn(kTypes), testing::ValuesIn(kTypes)),
                         [](const auto& info) {
                           return std::string(dtypeName(std::get<0>(info.param))) + "_to_" +
                                  std::string(dtypeName(std::get<1>(info.param)));
                         });

TEST(RowSumsOfNothing, AreZero) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  const Array y = randomArray(DType::f32, {5}, 1);
  EXPECT_EQ(summed(context, zeros(DType::f32, {0, 5}), y, false, 1), zeros(DType::f32, {5}));
  EXPECT_EQ(summed(context, zeros(DType::f32, {0, 5}), y, true, 1), y);
}

TEST(RowSumsOfNothing, RefuseIntegers) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  EXPECT_THROW(summed(context, zeros(DType::i32, {2, 5}), zeros(DType::f32, {5}), false, 1), Error);
}

}  // namespace
}  // namespace meshplan
