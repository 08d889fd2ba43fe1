// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/operators/support.h"
#include "tests/backend/kernel_harness.h"

namespace meshplan {
namespace {

double tolerance(DType t) {
  return t == DType::f64 ? 1e-12 : t == DType::f32 ? 1e-5 : 1e-2;
}

constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16};

/// sum over the inner axes of the nest's product of operands, by visiting every index of every
/// axis; correct for every contraction whose operands are inputs 0 .. operands - 1.
std::vector<double> naive(const KernelCase& c, size_t operands, const TensorType& y) {
  std::vector<TensorType> types;
  std::vector<std::vector<double>> values;
  for (const Array& a : c.inputs) types.push_back(a.type()), values.push_back(a.values());
  const LoopNest nest = operatorDef(c.def).nest({c.attributes, types, {&y, 1}});
  std::vector<int64_t> index(nest.axes.size());
  const auto offset = [&](const TensorWalk& walk, const Shape& shape) {
    int64_t at = 0;
    for (size_t d = 0; d < walk.size(); ++d) {
      int64_t i = 0;
      for (const int8_t a : {walk[d].outer, walk[d].middle, walk[d].inner})
        if (a != kNoAxis)
          i = i * nest.axes[static_cast<size_t>(a)].extent + index[static_cast<size_t>(a)];
      at = at * shape[d] + i;
    }
    return static_cast<size_t>(at);
  };
  std::vector<double> result(static_cast<size_t>(y.elements()));
  for (bool more = true; more;) {
    double product = 1;
    for (size_t i = 0; i < operands; ++i)
      product *= values[i][offset(nest.inputs[i], types[i].shape)];
    result[offset(nest.outputs[0], y.shape)] += product;
    more = false;
    for (size_t a = index.size(); a-- > 0 && !more;) {
      more = ++index[a] < nest.axes[a].extent;
      if (!more) index[a] = 0;
    }
  }
  return result;
}

std::string describe(const KernelCase& c) {
  std::string text = std::string(c.def) + " " + std::string(dtypeName(c.inputs[0].type().dtype));
  for (const Array& a : c.inputs) text += " " + shapeText(a.shape());
  return text + " " + c.attributes.getString("equation", "");
}

std::vector<KernelCase> products(DType t) {
  const auto r = [&](Shape shape) { return randomArray(t, shape, shape.size() + shape.back()); };
  std::vector<KernelCase> cases{
      {"Linear", {}, {r({5, 7}), r({7, 3})}},
      {"Linear", {}, {r({2, 6, 64}), r({64, 48})}},
      {"Linear", {}, {r({33, 129}), r({129, 65})}},
      {"Linear", {{"transposed", int64_t{1}}}, {r({2, 3, 16}), r({24, 16})}},
      {"Linear", {}, {r({7}), r({7, 3})}},
      {"Linear", {}, {r({9, 1}), r({1, 1})}},
      {"MatMul", {}, {r({4, 6}), r({6, 8})}},
      {"MatMul", {}, {r({3, 4, 6}), r({3, 6, 8})}},
      {"MatMul", {}, {r({2, 3, 4, 6}), r({6, 8})}},
      {"MatMul", {}, {r({2, 3, 4, 6}), r({2, 1, 6, 8})}},
      {"MatMul", {}, {r({4, 6}), r({2, 3, 6, 8})}},
      {"MatMul", {}, {r({2, 1, 4, 6}), r({3, 6, 8})}},
      {"MatMul", {}, {r({6}), r({6, 8})}},
      {"MatMul", {}, {r({2, 4, 6}), r({6})}},
      {"MatMul", {}, {r({6}), r({3, 6, 8})}},
      {"MatMul", {}, {r({6}), r({6})}},
      {"ExpertLinear", {}, {r({3, 5, 8}), r({3, 8, 6})}},
  };
  for (int64_t transA : {0, 1})
    for (int64_t transB : {0, 1})
      cases.push_back({"Gemm",
                       {{"transA", transA}, {"transB", transB}},
                       {transA ? r({9, 5}) : r({5, 9}), transB ? r({6, 9}) : r({9, 6})}});
  const auto einsum = [&](std::string equation, std::vector<Array> inputs) {
    cases.push_back({"Einsum", {{"equation", std::move(equation)}}, std::move(inputs)});
  };
  einsum("ij,jk->ik", {r({4, 5}), r({5, 6})});
  einsum("ij,jk", {r({4, 5}), r({5, 6})});
  einsum("bhqd,bhkd->bhqk", {r({2, 3, 4, 5}), r({2, 3, 6, 5})});
  einsum("bqhd,bkhd->bhqk", {r({2, 4, 3, 5}), r({2, 6, 3, 5})});
  einsum("...ij,jk->...ik", {r({2, 3, 4, 5}), r({5, 6})});
  einsum("...ij,...jk->...ik", {r({2, 1, 4, 5}), r({3, 5, 6})});
  einsum("ij->ji", {r({4, 5})});
  einsum("ij->i", {r({4, 5})});
  einsum("ij->", {r({4, 5})});
  einsum("ii->i", {r({4, 4})});
  einsum("ii,ij->j", {r({4, 4}), r({4, 5})});
  einsum("bi,bj,bk->ijk", {r({3, 2}), r({3, 4}), r({3, 5})});
  einsum("i,j->ij", {r({3}), r({4})});
  einsum("ij,kl->l", {r({3, 2}), r({4, 5})});
  einsum("ij,ij->ij", {r({3, 2}), r({1, 2})});
  return cases;
}

TEST(Contraction, productsAgreeWithLoopsOverTheNest) {
  for (const DType t : kTypes)
    for (const KernelCase& c : products(t)) {
      const Array y = runForward(c)[0];
      EXPECT_LE(largestError(y.values(), naive(c, c.inputs.size(), y.type())), tolerance(t))
          << describe(c);
    }
}

std::vector<KernelCase> withBiases(DType t) {
  const auto r = [&](Shape shape) { return randomArray(t, shape, 3 * shape.size() + 1); };
  std::vector<KernelCase> cases{
      {"Linear", {}, {r({2, 6, 20}), r({20, 10}), r({10})}},
      {"Linear", {{"transposed", int64_t{1}}}, {r({2, 6, 20}), r({10, 20}), r({10})}},
      {"ExpertLinear", {}, {r({3, 5, 8}), r({3, 8, 6}), r({3, 6})}},
  };
  for (const Shape& bias : {Shape{6}, Shape{1, 6}, Shape{5, 1}, Shape{5, 6}, Shape{1}, Shape{}})
    cases.push_back({"Gemm",
                     {{"transB", int64_t{1}}, {"alpha", 0.5}, {"beta", 2.0}},
                     {r({5, 9}), r({6, 9}), randomArray(t, bias, 5)}});
  return cases;
}

TEST(Contraction, biasesAreAddedAsTheyBroadcast) {
  for (const DType t : kTypes)
    for (const KernelCase& c : withBiases(t)) {
      const Array y = runForward(c)[0];
      const double alpha = c.attributes.getFloat("alpha", 1);
      const double beta = c.attributes.getFloat("beta", 1);
      std::vector<double> expected = naive(c, 2, y.type());
      const std::vector<double> bias = c.inputs[2].values();
      const Shape& b = c.inputs[2].shape();
      const int64_t n = y.shape().back(), tokens = y.shape()[y.shape().size() - 2];
      const bool experts = c.def == "ExpertLinear";
      for (int64_t i = 0; i < y.type().elements(); ++i) {
        const int64_t rows = experts ? 3 : b.size() == 2 ? b[0] : 1;
        const int64_t columns = b.empty() ? 1 : b.back();
        const int64_t row = rows == 1 ? 0 : experts ? i / n / tokens : i / n;
        const int64_t at = row * columns + (columns == 1 ? 0 : i % n);
        double& e = expected[static_cast<size_t>(i)];
        e = alpha * e + beta * bias[static_cast<size_t>(at)];
      }
      EXPECT_LE(largestError(y.values(), expected), tolerance(t)) << describe(c);
    }
}

TEST(Contraction, gradientsAreThoseOfDifferences) {
  for (const auto& cases : {products(DType::f64), withBiases(DType::f64)})
    for (const KernelCase& c : cases) EXPECT_LE(gradientError(c), 1e-7) << describe(c);
}

TEST(Contraction, fp32AndBf16AreCloseToFp64) {
  for (const DType t : {DType::f32, DType::bf16})
    for (auto list : {&products, &withBiases})
      for (const KernelCase& c : list(t)) EXPECT_LE(precisionError(c), tolerance(t)) << describe(c);
}

TEST(Contraction, fp32GradientsOfBf16WeightsKeepFp32Sums) {
  for (const KernelCase& c : withBiases(DType::bf16)) {
    KernelCase wide = c;
    for (Array& a : wide.inputs) a = Array({DType::f32, a.shape()}, a.values());
    const auto outputs = runForward(c);
    const Array dy = randomArray(DType::bf16, outputs[0].shape(), 5);
    const auto mine = runBackward(c, outputs, {dy}, nullptr, DType::f32);
    const auto expected =
        runBackward(wide, runForward(wide), {Array({DType::f32, dy.shape()}, dy.values())});
    for (size_t i = 1; i < mine.size(); ++i) {
      EXPECT_EQ(mine[i]->type().dtype, DType::f32);
      EXPECT_LE(largestError(*mine[i], *expected[i]), 1e-5) << describe(c);
    }
  }
}

TEST(Contraction, accumulatedGradientsAreSums) {
  for (const DType t : {DType::f64, DType::f32})
    for (auto list : {&products, &withBiases})
      for (const KernelCase& c : list(t))
        EXPECT_LE(accumulationError(c), tolerance(t)) << describe(c);
}

TEST(Contraction, partsAlongEachAxisMakeTheWhole) {
  const auto r = [](Shape shape) { return randomArray(DType::f64, shape, shape.size()); };
  const KernelCase linear{"Linear", {}, {r({4, 6, 8}), r({8, 10}), r({10})}};
  for (const char* axis : {"rows0", "rows1", "in_features", "out_features"})
    EXPECT_LE(shardingError(linear, axis), 1e-12) << axis;
  const KernelCase gemm{"Gemm", {{"transA", int64_t{1}}}, {r({8, 4}), r({8, 6}), r({6})}};
  for (const char* axis : {"rows0", "in_features", "out_features"})
    EXPECT_LE(shardingError(gemm, axis), 1e-12) << axis;
  const KernelCase matmul{"MatMul", {}, {r({2, 4, 6}), r({2, 6, 8})}};
  for (const char* axis : {"dim0", "rows", "in_features", "out_features"})
    EXPECT_LE(shardingError(matmul, axis), 1e-12) << axis;
  const KernelCase expert{"ExpertLinear", {}, {r({2, 4, 6}), r({2, 6, 8}), r({2, 8})}};
  for (const char* axis : {"experts", "tokens", "in_features", "out_features"})
    EXPECT_LE(shardingError(expert, axis), 1e-12) << axis;
  const KernelCase einsum{
      "Einsum", {{"equation", std::string("bhqd,bhkd->bhqk")}}, {r({2, 4, 6, 8}), r({2, 4, 2, 8})}};
  for (const char* axis : {"b", "h", "q", "k", "d"})
    EXPECT_LE(shardingError(einsum, axis), 1e-12) << axis;
}

TEST(Contraction, equalCallsGiveEqualBits) {
  for (const DType t : kTypes)
    for (const KernelCase& c : products(t)) {
      const auto first = runForward(c), second = runForward(c);
      EXPECT_TRUE(first == second) << describe(c);
    }
}

}  // namespace
}  // namespace meshplan
