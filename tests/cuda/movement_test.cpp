// SPDX-License-Identifier: Apache-2.0
// Copies and sums of strided boxes on shapes that small cases do not reach: several tiles and
// blocks, units of every width, tails, whole numbers, mixed dtypes.
#include <gtest/gtest.h>

#include <random>

#include "backend/cpu/strided.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/cuda_transfers.h"
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

/// Of the movement cases, those that kernels of this family do.
bool isDone(const KernelCase& c) {
  for (const char* def :
       {"Resize", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"})
    if (c.def == def) return false;
  return true;
}

TEST(MovementOnTheGpu, NeedsNoProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const KernelCase& c : movementCases())
    for (const DType dtype : kFloatingTypes)
      if (isDone(c)) expectIn(gpu, c, dtype);
}

class Moved : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override { MESHPLAN_NEEDS_GPU(); }
  void expectMoved(const KernelCase& c, double slack = 1) {
    GpuRunner gpu;
    expectAgreement(gpu, inType(GetParam(), c), slack);
  }
};

TEST_P(Moved, ByTransposition) {
  const std::pair<Shape, Ints> cases[] = {{{70, 45}, {1, 0}},
                                          {{3, 33, 64}, {0, 2, 1}},
                                          {{2, 40, 3, 36}, {0, 3, 1, 2}},
                                          {{2, 17, 3, 16}, {0, 2, 1, 3}},
                                          {{5, 6, 7, 8, 9}, {4, 2, 0, 3, 1}},
                                          {{64, 2, 32}, {2, 1, 0}}};
  for (const auto& [shape, perm] : cases)
    expectMoved({"Transpose", {{"perm", perm}}, {anyValues(shape, 1)}});
}

TEST_P(Moved, ToHeadsAndBack) {
  for (const auto& [heads, dim] : {std::pair<int64_t, int64_t>{2, 64}, {3, 20}, {5, 7}, {1, 8}}) {
    expectMoved({"SplitHeads", {{"head_dim", dim}}, {anyValues({2, 9, heads * 3 * dim}, 1)}});
    expectMoved({"SplitHeads",
                 {{"head_dim", dim}, {"group", int64_t{3}}},
                 {anyValues({2, 9, heads * 5 * dim}, 1)}});
    expectMoved({"ToHeads", {{"head_dim", dim}}, {anyValues({2, 9, heads * dim}, 2)}});
    expectMoved({"MergeHeads", {}, {anyValues({2, heads, 9, dim}, 3)}});
    expectMoved({"LatentKeyValue",
                 {{"value_dim", dim}},
                 {anyValues({2, heads, 9, dim + 24}, 4), anyValues({2, 1, 9, 16}, 5)}});
  }
  expectMoved({"PatchTokens", {}, {anyValues({3, 48, 7, 9}, 6), anyValues({48}, 7)}});
  expectMoved({"FirstToken", {}, {anyValues({7, 5, 48}, 8)}});
}

TEST_P(Moved, InParts) {
  for (const int64_t axis : {0, 1, 2}) {
    std::vector<Array> parts;
    for (const int64_t extent : {8, 16, 5, 3, 24}) {
      Shape shape{9, 4, 16};
      shape[static_cast<size_t>(axis)] = extent;
      parts.push_back(anyValues(shape, static_cast<uint64_t>(extent)));
    }
    expectMoved({"Concat", {{"axis", axis}}, parts});
    Shape whole{9, 4, 16};
    whole[static_cast<size_t>(axis)] = 56;
    expectMoved(
        {"Split", {{"axis", axis}, {"split", Ints{8, 16, 5, 3, 24}}}, {anyValues(whole, 2)}});
  }
  expectMoved({"Slice",
               {{"starts", Ints{16, -1}},
                {"ends", Ints{48, -40}},
                {"axes", Ints{2, 1}},
                {"steps", Ints{1, -3}}},
               {anyValues({3, 30, 64}, 1)}});
  expectMoved(
      {"Pad", {{"pads", Ints{0, 3, 8, 0, 2, 16}}, {"value", -1.5}}, {anyValues({3, 9, 64}, 1)}});
  expectMoved({"Trilu", {{"upper", int64_t{0}}}, {anyValues({3, 40, 33}, 1)}});
}

TEST_P(Moved, BehindBordersAndBack) {
  constexpr double kRoundings = 3;  // the processor rounds after each addition
  for (const char* mode : {"reflect", "edge", "wrap"})
    for (const Ints& pads : {Ints{0, 3, 2, 0, 4, 5}, Ints{1, -2, 12, 1, 3, -1}})
      expectMoved({"Pad", {{"pads", pads}, {"mode", std::string(mode)}}, {anyValues({3, 9, 7}, 1)}},
                  kRoundings);
  const Attributes axes{{"time_axis", int64_t{0}}, {"batch_axis", int64_t{1}}};
  expectMoved(
      {"ReverseSequence", axes, {anyValues({9, 4, 17}, 2), wholeNumbers({4}, {9, 0, 1, 6})}});
}

TEST(IndicesOnTheGpu, PickRunsAndElements) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const int64_t width : {1, 6, 16})
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16})
      for (const int64_t axis : {0, 1}) {
        const Array data = anyValues({30, 20, width}, 1);
        const Array picks = wholeNumbersBelow(20, {40, 5}, 2, axis ? DType::i32 : DType::i64);
        const KernelCase runs = inTypeOf({"Gather", {{"axis", axis}}, {data, picks}}, dtype);
        EXPECT_EQ(runForward(runs, gpu.runner())[0], runForward(runs)[0]);
        const Array each = wholeNumbersBelow(20, {11, 9, width}, 3);
        const KernelCase elements =
            inTypeOf({"GatherElements", {{"axis", axis}}, {data, each}}, dtype);
        EXPECT_EQ(runForward(elements, gpu.runner())[0], runForward(elements)[0]);
      }
  const KernelCase last{"Gather", {}, {anyValues({5, 3}, 1), wholeNumbers({2}, {-1, -5})}};
  EXPECT_EQ(runForward(last, gpu.runner())[0], runForward(last)[0]);
  for (const int64_t axis : {0, 1, -1}) {
    const KernelCase hot{"OneHot",
                         {{"depth", int64_t{7}}, {"axis", axis}, {"on_value", 3.}},
                         {wholeNumbers({2, 3}, {0, 6, -1, 9, -8, 2})}};
    EXPECT_EQ(runForward(hot, gpu.runner())[0], runForward(hot)[0]);
  }
  EXPECT_TRUE(gpu.onHost().empty());
}

TEST_P(Moved, InCopies) {
  expectMoved({"Expand", {{"shape", Ints{40, 1, 24}}}, {anyValues({30, 1}, 1)}});
  expectMoved({"Expand", {{"shape", Ints{5, 30, 24}}}, {anyValues({24}, 1)}});
  expectMoved({"Tile", {{"repeats", Ints{2, 3, 2}}}, {anyValues({3, 7, 16}, 1)}});
  expectMoved({"DepthToSpace", {{"blocksize", int64_t{2}}}, {anyValues({2, 32, 9, 10}, 1)}});
  expectMoved({"SpaceToDepth", {{"blocksize", int64_t{3}}}, {anyValues({2, 5, 9, 12}, 1)}});
}

INSTANTIATE_TEST_SUITE_P(, Moved, testing::ValuesIn(kFloatingTypes),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(WholeNumbersOnTheGpu, MoveToo) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const DType dtype : {DType::i64, DType::i32, DType::u8, DType::boolean}) {
    const Array x = wholeNumbersBelow(2, {6, 40}, 1, dtype);
    expectIn(gpu, {"Transpose", {}, {x}}, dtype);
    expectIn(gpu, {"Concat", {{"axis", int64_t{1}}}, {x, x}}, dtype);
    expectIn(gpu, {"Reshape", {{"shape", Ints{-1}}}, {x}}, dtype);
    expectIn(gpu, {"Pad", {{"pads", Ints{1, 0, 0, 1}}, {"value", 1.}}, {x}}, dtype);
    expectIn(gpu, {"Trilu", {}, {x}}, dtype);
  }
}

/// A tensor on either side.
struct Sides {
  Sides(CudaContext& context, Array array) : host(std::move(array)) {
    const int64_t bytes = host.type().bytes().value;
    there = {context.allocate(bytes + 1, "a test"), host.type()};
    uploadBytes(context, there.data, host.view().data, bytes);
  }
  double error(CudaContext& context) const {
    const Array found = zeros(host.type().dtype, host.shape());
    downloadBytes(context, found.view().data, there.data, host.type().bytes().value);
    return largestError(found, host);
  }
  Array host;
  TensorView there;
};

TEST(SumsOfBoxes, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  const CpuContext host(1);
  const std::pair<Shape, Shape> shapes[] = {
      {{3000, 48}, {48}},   {{3000, 47}, {47}},     {{50, 3000}, {50, 1}}, {{9000}, {}},
      {{700, 3}, {700, 1}}, {{6, 70, 40}, {70, 1}}, {{2, 999}, {999}},     {{37, 5, 12}, {5, 1}},
      {{4, 60, 4}, {1, 4}}, {{3, 1, 5}, {1, 1, 5}}};
  for (const auto& [large, small] : shapes)
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const DType sums = dtype == DType::bf16 ? DType::f32 : dtype;
      const Sides from(context, randomArray(dtype, large, 1)), to(context, zeros(sums, small));
      const StridedBox box = broadcastBox(large, small);
      sumBox(host, box, from.host.view(), to.host.view(), -0.5);
      sumBox(context, box, from.there, to.there, -0.5);
      EXPECT_LE(to.error(context), sums == DType::f64 ? 1e-12 : 1e-4)
          << shapeText(large) << " to " << shapeText(small);
    }
}

/// Every other element of both, backwards in one: what no operator does at once.
TEST(CopiesOfBoxes, GoByAnyStrides) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  const CpuContext host(1);
  std::mt19937_64 random(7);
  for (int round = 0; round < 40; ++round) {
    const Shape shape{1 + int64_t(random() % 5), 1 + int64_t(random() % 40),
                      1 + int64_t(random() % 40)};
    Shape large = shape;
    for (int64_t& extent : large) extent = 2 * extent + int64_t(random() % 2);
    const std::vector<int64_t> from = denseStrides(large), to = denseStrides(shape);
    StridedBox box;
    for (const size_t d : {0, 1, 2}) {
      const int64_t step = random() % 2 ? 2 : 1;
      const bool backwards = random() % 3 == 0;
      box.add(shape[d], backwards ? -step * from[d] : step * from[d], to[d]);
      if (backwards) box.fromOffset += step * from[d] * (shape[d] - 1);
    }
    for (const auto& [a, b] : {std::pair{DType::f32, DType::f32},
                               {DType::u8, DType::u8},
                               {DType::bf16, DType::f32},
                               {DType::f32, DType::bf16}}) {
      const Sides source(context, wholeNumbersBelow(100, large, random(), a)),
          copy(context, zeros(b, shape)), back(context, zeros(a, large));
      copyBox(host, box, source.host.view(), copy.host.view());
      copyBox(context, box, source.there, copy.there);
      EXPECT_EQ(copy.error(context), 0) << round;
      copyBox(host, box.reversed(), copy.host.view(), back.host.view());
      copyBox(context, box.reversed(), copy.there, back.there);
      EXPECT_EQ(back.error(context), 0) << round << " reversed";
    }
  }
}

}  // namespace
}  // namespace meshplan
