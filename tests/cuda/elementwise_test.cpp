// SPDX-License-Identifier: Apache-2.0
// Elementwise kernels on shapes that small cases do not reach: several blocks, tails of packs,
// broadcast runs of every alignment, integers, mixed dtypes, parts of split tensors.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "backend/cuda/kernels/divisor.h"
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

constexpr DType kFloatingTypes[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

void expectIn(GpuRunner& gpu, const KernelCase& c, DType dtype) {
  expectAgreement(gpu, inType(dtype, c));
}
KernelCase inTypeOf(const KernelCase& c, DType dtype) {
  return inType(dtype, c);
}

Array draw(const Shape& shape, uint64_t seed) {
  return valuesIn(shape, seed, -2, 2, {0});
}

TEST(DivisorTest, DividesAsPlainDivisionDoes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto by = static_cast<int64_t>(random() >> (31 + random() % 33)) + 1;
    const auto n = static_cast<int64_t>(random() >> (31 + random() % 33));
    const device::Divisor divisor(by);
    for (const int64_t m : {n, n / by * by, std::max<int64_t>(0, n / by * by - 1)})
      ASSERT_EQ(divisor.quotient(m), m / by) << m << " / " << by;
  }
}

TEST(ElementwiseOnTheGpu, NeedsNoProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const KernelCase& c : elementwiseCases())
    for (const DType dtype : kFloatingTypes) expectIn(gpu, c, dtype);
  EXPECT_TRUE(gpu.onHost().empty());
}

class ManyElements : public testing::TestWithParam<DType> {};

TEST_P(ManyElements, GoThroughUnaryOperators) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const int64_t count : {1, 7, 2049, 70003})
    for (const char* def : {"Relu", "Gelu", "Silu", "Scale", "Neg", "Identity", "Sign", "Abs"})
      if (count < 70000 || std::string_view(def) == "Gelu")
        expectIn(gpu, {def, {}, {draw({count}, 3)}}, GetParam());
}

TEST_P(ManyElements, GoThroughGates) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const Shape& shape : {Shape{2}, Shape{3, 14}, Shape{65, 34}, Shape{9, 514}})
    for (const char* def : {"SwiGLU", "GeGLU"})
      expectIn(gpu, {def, {}, {draw(shape, 4)}}, GetParam());
}

TEST_P(ManyElements, Broadcast) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const std::pair<Shape, Shape> shapes[] = {{{33, 48}, {48}},
                                            {{33, 47}, {47}},
                                            {{33, 47}, {33, 1}},
                                            {{2, 3, 5, 8}, {3, 1, 8}},
                                            {{16, 1, 24}, {1, 9, 1}},
                                            {{4, 1, 6, 1, 3}, {5, 1, 7, 1}},
                                            {{3000}, {1}},
                                            {{1}, {3000}},
                                            {{700, 4}, {700, 4}}};
  for (const auto& [a, b] : shapes)
    for (const char* def : {"Add", "Sub", "Mul", "Div", "PRelu"}) {
      if (std::string_view(def) == "PRelu" && a.size() < b.size()) continue;
      if (std::string_view(def) == "PRelu" && elementCount(a) < elementCount(b)) continue;
      expectIn(gpu, {def, {}, {draw(a, 1), valuesIn(b, 2, 0.5, 2)}}, GetParam());
    }
}

TEST_P(ManyElements, OfSeveralOperandsAreJoined) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const Shape shapes[] = {{37, 24}, {24}, {37, 1}, {}};
  for (size_t count = 1; count <= 4; ++count)
    for (const char* def : {"Sum", "Mean", "Max", "Min"}) {
      std::vector<Array> operands;
      for (size_t i = 0; i < count; ++i) {
        std::vector<double> values = distinctValues(shapes[i], i + 1).values();
        for (double& v : values) v = std::fmod(v, 4) + 0.0078125 * static_cast<double>(i);
        operands.push_back({{DType::f64, shapes[i]}, values});
      }
      expectIn(gpu, {def, {}, operands}, GetParam());
    }
}

TEST_P(ManyElements, AreChosenByConditions) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const Array wide = wholeNumbersBelow(2, {33, 1, 40}, 1, DType::boolean);
  expectIn(gpu, {"Where", {}, {wide, draw({33, 6, 40}, 2), draw({6, 1}, 3)}}, GetParam());
  expectIn(gpu, {"Where", {}, {wide, draw({}, 2), draw({40}, 3)}}, GetParam());
}

TEST_P(ManyElements, AreDroppedLikeOnTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const Shape& shape : {Shape{5000}, Shape{3, 5, 7}, Shape{4, 8, 16}}) {
    KernelCase c{"Dropout", {{"ratio", 0.3}}, {draw(shape, 6)}};
    c.seed = 99;
    expectIn(gpu, c, GetParam());
    for (size_t split = 0; split < shape.size(); ++split) {
      for (size_t d = 0; d < shape.size(); ++d) c.axes.push_back({0, shape[d], shape[d]});
      c.axes[split] = {shape[split] * 2, shape[split], shape[split] * 4};
      expectIn(gpu, c, GetParam());
      c.axes.clear();
    }
  }
}

TEST_P(ManyElements, AreRotated) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const Shape& shape : {Shape{2, 3, 9, 64}, Shape{1, 2, 5, 18}, Shape{1, 1, 40, 128}})
    for (const int64_t interleaved : {0, 1})
      for (const int64_t still : {0, 2, 32}) {
        if (still >= shape[3]) continue;
        KernelCase c{"Rotary",
                     {{"interleaved", interleaved}, {"rotary_dim", shape[3] - still}},
                     {draw(shape, 7)}};
        expectIn(gpu, c, GetParam());
        c.axes = {{0, shape[0], shape[0]},
                  {0, shape[1], shape[1]},
                  {shape[2], shape[2], 3 * shape[2]},
                  {0, shape[3], shape[3]}};
        expectIn(gpu, c, GetParam());
      }
}

INSTANTIATE_TEST_SUITE_P(, ManyElements, testing::ValuesIn(kFloatingTypes),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

Array numbers(DType dtype, const Shape& shape, uint64_t seed) {
  std::vector<double> values = wholeNumbersBelow(9, shape, seed).values();
  const bool isSigned = dtype == DType::i64 || dtype == DType::i32;
  if (isSigned)
    for (double& v : values) v -= 4;
  if (dtype == DType::boolean)
    for (double& v : values) v = v > 4;
  return {{dtype, shape}, values};
}

TEST(WholeNumbersOnTheGpu, AreComputedExactly) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const DType dtype : {DType::i64, DType::i32, DType::u8}) {
    const Array a = numbers(dtype, {7, 30}, 1), b = numbers(dtype, {30}, 2);
    for (const char* def :
         {"Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Pow", "BitwiseAnd", "BitwiseOr",
          "BitwiseXor", "BitShift", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
      expectIn(gpu, {def, {}, {a, b}}, dtype);
    for (const char* def : {"Relu", "Abs", "Neg", "Sign", "BitwiseNot", "Clip", "Identity"})
      expectIn(gpu, {def, {}, {a}}, dtype);
    const Array condition = numbers(DType::boolean, {7, 1}, 3);
    expectIn(gpu, {"Where", {}, {condition, a, b}}, dtype);
  }
}

TEST(TruthOnTheGpu, IsThatOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const Array a = numbers(DType::boolean, {5, 40}, 1), b = numbers(DType::boolean, {5, 1}, 2);
  for (const char* def : {"And", "Or", "Xor", "Equal"})
    expectIn(gpu, {def, {}, {a, b}}, DType::boolean);
  expectIn(gpu, {"Not", {}, {a}}, DType::boolean);
  const Array strange({DType::f64, {5}}, {NAN, INFINITY, -INFINITY, 0, 1});
  for (const DType dtype : kFloatingTypes)
    for (const char* def : {"IsNaN", "IsInf"}) expectIn(gpu, {def, {}, {strange}}, dtype);
  for (const DType dtype : kFloatingTypes)
    for (const char* def : {"Less", "GreaterOrEqual", "Equal"})
      expectIn(gpu, {def, {}, {draw({9, 17}, 1), draw({9, 17}, 2)}}, dtype);
}

TEST(NotANumberOnTheGpu, StaysOne) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const Array x({DType::f64, {3}}, {NAN, 1, -1}), zero({DType::f64, {3}}, {0, 0, 0});
  for (const DType dtype : kFloatingTypes) {
    for (const char* def : {"Relu", "Gelu", "Silu", "Sigmoid", "Tanh", "Scale", "Exp", "Erf"})
      EXPECT_TRUE(
          std::isnan(runForward(inTypeOf({def, {}, {x}}, dtype), gpu.runner())[0].values()[0]))
          << def;
    for (const char* def : {"Max", "Min"})
      EXPECT_TRUE(std::isnan(
          runForward(inTypeOf({def, {}, {x, zero}}, dtype), gpu.runner())[0].values()[0]))
          << def;
  }
}

TEST(CastsOnTheGpu, GoBetweenAllTypes) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const DType all[] = {DType::f64, DType::f32, DType::bf16, DType::f16,
                       DType::i64, DType::i32, DType::u8,   DType::boolean};
  for (const DType from : all)
    for (const DType to : all)
      for (const int64_t count : {3, 1030}) {
        std::vector<double> values = wholeNumbersBelow(200, {count}, 3).values();
        const bool truth = from == DType::boolean || to == DType::boolean;
        for (double& v : values) v = from == DType::boolean ? v > 99 : v;
        const KernelCase c{
            "Cast", {{"to", std::string(dtypeName(to))}}, {Array({from, {count}}, values)}};
        if (truth)
          for (double& v : values) v = v != 0;
        EXPECT_EQ(runForward(c, gpu.runner())[0].values(), values)
            << dtypeName(from) << " to " << dtypeName(to);
      }
  EXPECT_TRUE(gpu.onHost().empty());
}

TEST(WeightGradientsOnTheGpu, MayBeWiderThanActivations) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const auto& [a, b] : {std::pair{Shape{33, 24}, Shape{24}}, {Shape{5, 9}, Shape{5, 9}}})
    for (const char* def : {"Add", "Sub", "Mul", "Div", "PRelu"}) {
      const KernelCase c = inTypeOf({def, {}, {draw(a, 1), valuesIn(b, 2, 0.5, 2)}}, DType::bf16);
      const std::vector<Array> outputs = runForward(c);
      const std::vector<Array> incoming{randomArray(DType::bf16, a, 3)};
      const auto expected = runBackward(c, outputs, incoming, nullptr, DType::f32);
      const auto found = runBackward(c, outputs, incoming, nullptr, DType::f32, gpu.runner());
      ASSERT_EQ(found[1]->type().dtype, DType::f32);
      EXPECT_LE(largestError(*found[1], *expected[1]), 1e-5) << def;
    }
}

}  // namespace
}  // namespace meshplan
