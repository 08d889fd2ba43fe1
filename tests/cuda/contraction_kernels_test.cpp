// SPDX-License-Identifier: Apache-2.0
// Contractions on the GPU against the processor, beyond the cases of the conformance test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/operators/support.h"
#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_runner.h"

namespace meshplan {
namespace {

double tolerance(DType t) {
  return t == DType::f64 ? 1e-11 : t == DType::f32 ? 2e-5 : 2e-2;
}

std::string describe(const KernelCase& c) {
  std::string text = std::string(c.def) + " " + std::string(dtypeName(c.inputs[0].type().dtype));
  for (const Array& a : c.inputs) text += " " + shapeText(a.shape());
  return text + " " + c.attributes.getString("equation", "");
}

Array outputGradient(const std::vector<Array>& outputs) {
  return randomArray(outputs[0].type().dtype, outputs[0].shape(), 77);
}

/// Forward, backward, backward with fp32 weight gradients, and added, on both.
void expectEqualOnBoth(GpuRunner& gpu, const KernelCase& c) {
  SCOPED_TRACE(describe(c));
  const DType dtype = c.inputs[0].type().dtype;
  const std::vector<Array> expected = runForward(c), found = runForward(c, gpu.runner());
  EXPECT_LE(largestError(found[0], expected[0]), tolerance(dtype));
  const std::vector<Array> dy{outputGradient(expected)};
  const auto wide = dtype == DType::bf16 ? std::optional(DType::f32) : std::nullopt;
  const auto gradients = runBackward(c, expected, dy, nullptr, wide);
  std::vector<std::optional<Array>> sums(gradients.size());
  for (size_t i = 0; i < sums.size(); ++i)
    if (gradients[i]) sums[i] = randomArray(gradients[i]->type().dtype, gradients[i]->shape(), i);
  const auto expectSame = [&](const std::vector<std::optional<Array>>& on,
                              const std::vector<std::optional<Array>>& reference) {
    ASSERT_EQ(on.size(), reference.size());
    for (size_t i = 0; i < on.size(); ++i) {
      if (!reference[i]) continue;
      EXPECT_LE(largestError(*on[i], *reference[i]), tolerance(dtype)) << i;
    }
  };
  expectSame(runBackward(c, expected, dy, nullptr, wide, gpu.runner()), gradients);
  expectSame(runBackward(c, expected, dy, &sums, wide, gpu.runner()),
             runBackward(c, expected, dy, &sums, wide));
}

class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed) {}

  int64_t extent(int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(random_); }
  bool coin() { return extent(2) == 1; }
  /// Small values, so that sums of hundreds stay near 1.
  Array array(DType t, const Shape& shape) {
    std::vector<double> values = randomArray(t, shape, random_()).values();
    for (double& v : values) v *= 0.25;
    return Array({t, shape}, values);
  }
  DType dtype() {
    constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16};
    return kTypes[extent(3) - 1];
  }

 private:
  std::mt19937_64 random_;
};

KernelCase linearCase(Draws& draw) {
  const DType t = draw.dtype();
  const int64_t k = draw.extent(150), n = draw.extent(150);
  const bool transposed = draw.coin();
  KernelCase c{"Linear",
               {{"transposed", int64_t{transposed}}},
               {draw.array(t, {draw.extent(3), draw.extent(60), k}),
                draw.array(t, transposed ? Shape{n, k} : Shape{k, n})}};
  if (draw.coin()) c.inputs.push_back(draw.array(t, {n}));
  return c;
}

KernelCase gemmCase(Draws& draw) {
  const DType t = draw.dtype();
  const int64_t m = draw.extent(70), n = draw.extent(70), k = draw.extent(70);
  const bool transA = draw.coin(), transB = draw.coin();
  KernelCase c{"Gemm",
               {{"transA", int64_t{transA}}, {"transB", int64_t{transB}}},
               {draw.array(t, transA ? Shape{k, m} : Shape{m, k}),
                draw.array(t, transB ? Shape{n, k} : Shape{k, n})}};
  if (draw.coin()) c.attributes.set("alpha", 0.5);
  if (draw.coin()) c.attributes.set("beta", 0.25);
  const Shape added[] = {{}, {n}, {1}, {m, 1}, {1, n}, {m, n}};
  if (draw.coin()) c.inputs.push_back(draw.array(t, added[draw.extent(6) - 1]));
  return c;
}

/// Leading dimensions that broadcast, or are not there.
KernelCase matmulCase(Draws& draw) {
  const DType t = draw.dtype();
  const int64_t m = draw.extent(20), n = draw.extent(20), k = draw.extent(20);
  Shape a, b;
  const int64_t dims = draw.extent(4) - 1;
  for (int64_t d = 0; d < dims; ++d) {
    const int64_t extent = draw.extent(4);
    if (!a.empty() || draw.coin()) a.push_back(draw.coin() ? extent : 1);
    if (!b.empty() || draw.coin()) b.push_back(draw.coin() ? extent : 1);
  }
  a.insert(a.end(), {m, k});
  b.insert(b.end(), {k, n});
  return {"MatMul", {}, {draw.array(t, a), draw.array(t, b)}};
}

KernelCase expertCase(Draws& draw) {
  const DType t = draw.dtype();
  const int64_t e = draw.extent(5), k = draw.extent(40), n = draw.extent(40);
  KernelCase c{
      "ExpertLinear", {}, {draw.array(t, {e, draw.extent(50), k}), draw.array(t, {e, k, n})}};
  if (draw.coin()) c.inputs.push_back(draw.array(t, {e, n}));
  return c;
}

KernelCase einsumCase(Draws& draw) {
  constexpr const char* kEquations[] = {
      "ij,jk->ik",       "ij,jk->ki",    "bij,bjk->bik", "bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk",
      "bhqk,bkhd->bqhd", "ij->ji",       "ij->j",        "ii->i",           "ii,ij->j",
      "ij,jk,kl->il",    "ij,ik,jk->i",  "i,j->ij",      "ijk,jil->kl",     "abc,cd,ade->be",
      "ij,kj->",         "bij,bkj->ikb", "iij,jk->ik",   "ijk,kl->ijl",     "bsi,oi->bso"};
  const std::string equation = kEquations[draw.extent(std::size(kEquations)) - 1];
  std::map<char, int64_t> extents;
  KernelCase c{"Einsum", {{"equation", equation}}, {}};
  const DType t = draw.dtype();
  Shape shape;
  for (const char letter : equation.substr(0, equation.find("->")) + ",") {
    if (letter == ',') {
      c.inputs.push_back(draw.array(t, shape));
      shape.clear();
      continue;
    }
    if (!extents.contains(letter)) extents[letter] = draw.extent(9);
    shape.push_back(extents[letter]);
  }
  return c;
}

struct Drawn {
  std::string_view name;
  KernelCase (*make)(Draws&);
};

class DrawnContractions : public testing::TestWithParam<Drawn> {};

TEST_P(DrawnContractions, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  Draws draw(17);
  for (int i = 0; i < 25; ++i) expectEqualOnBoth(gpu, GetParam().make(draw));
  EXPECT_THAT(gpu.onHost(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(, DrawnContractions,
                         testing::Values(Drawn{"Linear", linearCase}, Drawn{"Gemm", gemmCase},
                                         Drawn{"MatMul", matmulCase},
                                         Drawn{"ExpertLinear", expertCase},
                                         Drawn{"Einsum", einsumCase}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ContractionsOnTheGpu, AddTheBiasOnceWhereTheReductionIsSplit) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  Draws draw(3);
  const KernelCase whole{"Linear",
                         {},
                         {draw.array(DType::f32, {5, 8}), draw.array(DType::f32, {8, 6}),
                          draw.array(DType::f32, {6})}};
  const auto nestAxes = [&](int64_t begin) {
    std::vector<TensorType> types;
    for (const Array& a : whole.inputs) types.push_back(a.type());
    const TensorType y{DType::f32, {5, 6}};
    const LoopNest nest = operatorDef("Linear").nest({whole.attributes, types, {&y, 1}});
    std::vector<AxisRange> axes;
    for (const Axis& a : nest.axes)
      axes.push_back(a.kind == AxisKind::reduce ? AxisRange{begin, 8, 16}
                                                : AxisRange{0, a.extent, a.extent});
    return axes;
  };
  for (const int64_t begin : {0, 8}) {
    KernelCase part = whole;
    part.axes = nestAxes(begin);
    EXPECT_LE(largestError(runForward(part, gpu.runner())[0], runForward(part)[0]), 2e-5) << begin;
  }
}

TEST(ContractionsOnTheGpu, TakeFp16) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  Draws draw(5);
  for (int i = 0; i < 5; ++i) {
    KernelCase c = linearCase(draw);
    KernelCase half = c;
    for (size_t a = 0; a < c.inputs.size(); ++a) {
      half.inputs[a] = Array({DType::f16, c.inputs[a].shape()}, c.inputs[a].values());
      c.inputs[a] = Array({DType::f32, c.inputs[a].shape()}, half.inputs[a].values());
    }
    const std::vector<Array> found = runForward(half, gpu.runner());
    EXPECT_LE(largestError(found[0].values(), runForward(c)[0].values()), 2e-3) << describe(half);
  }
  EXPECT_THAT(gpu.onHost(), testing::IsEmpty());
}

TEST(ContractionsOnTheGpu, AreEmptySumsWhereNothingIsSummed) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  const KernelCase c{"Linear",
                     {},
                     {zeros(DType::f32, {3, 0}), zeros(DType::f32, {0, 4}),
                      Array({DType::f32, {4}}, {1, 2, 3, 4})}};
  EXPECT_EQ(runForward(c, gpu.runner())[0].values(),
            (std::vector<double>{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace meshplan
