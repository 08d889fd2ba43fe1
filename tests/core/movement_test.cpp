// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "core/operator.h"

// Movements, reductions and recurrent layers: result types and loop nests.

namespace meshplan {
namespace {

struct Applied {
  std::vector<TensorType> in, out;
  LoopNest nest;
  bool matches = false;
};

Applied apply(std::string_view def, const std::vector<Shape>& shapes,
              const Attributes& attributes) {
  Applied a;
  const OperatorDef& d = operatorDef(def);
  for (const Shape& s : shapes) a.in.push_back({DType::f32, s});
  a.out = d.infer(attributes, a.in);
  const OpContext context{attributes, a.in, a.out};
  a.nest = d.nest(context);
  a.matches = nestMatchesTypes(a.nest, context);
  return a;
}

Applied reshape(const Shape& from, const Shape& to) {
  return apply("Reshape", {from}, {{"shape", to}});
}

const Axis& outer(const Applied& a, const DimWalk& walk) {
  return a.nest.axes[static_cast<size_t>(walk.outer)];
}

TEST(Reshape, splitsHeadsAlongTheirOuterFactor) {
  const Applied a = reshape({2, 128, 768}, {2, 128, 12, 64});
  EXPECT_TRUE(a.matches);
  EXPECT_EQ(a.nest.inputs[0][2].outer, a.nest.outputs[0][2].outer);
  EXPECT_EQ(outer(a, a.nest.inputs[0][2]).extent, 12);
  EXPECT_EQ(outer(a, a.nest.inputs[0][2]).kind, AxisKind::parallel);
  EXPECT_EQ(outer(a, a.nest.outputs[0][3]).kind, AxisKind::opaque);
}

TEST(Reshape, mergesBatchAndSequenceWithTheBatchOutermost) {
  const Applied a = reshape({4, 128, 768}, {512, 768});
  EXPECT_EQ(a.nest.inputs[0][0].outer, a.nest.outputs[0][0].outer);
  EXPECT_EQ(outer(a, a.nest.inputs[0][0]).kind, AxisKind::parallel);
  EXPECT_EQ(outer(a, a.nest.inputs[0][1]).kind, AxisKind::opaque);
}

TEST(Reshape, carriesABatchOfOne) {
  const Applied merged = reshape({1, 128, 768}, {128, 768});
  EXPECT_EQ(merged.nest.inputs[0][0].outer, merged.nest.outputs[0][0].outer);
  const Applied split = reshape({128, 768}, {1, 128, 768});
  EXPECT_EQ(split.nest.inputs[0][0].outer, split.nest.outputs[0][0].outer);
}

TEST(Reshape, sharesTheCommonOuterFactorOfDimensionsThatDoNotDivide) {
  const Applied a = reshape({6, 4}, {8, 3});
  EXPECT_TRUE(a.matches);
  EXPECT_EQ(outer(a, a.nest.inputs[0][0]).extent, 2);
  EXPECT_EQ(a.nest.inputs[0][0].outer, a.nest.outputs[0][0].outer);
}

TEST(Reshape, matchesItsTypesForRandomShapes) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<int64_t> factors;
    for (size_t i = 0, n = 1 + random() % 6; i < n; ++i) factors.push_back(1 + random() % 4);
    const auto group = [&] {
      Shape shape{1};
      for (int64_t f : factors) {
        if (random() % 2) shape.push_back(1);
        shape.back() *= f;
      }
      return shape;
    };
    const Shape from = group();
    std::shuffle(factors.begin(), factors.end(), random);
    const Shape to = group();
    EXPECT_TRUE(reshape(from, to).matches) << shapeText(from) << " " << shapeText(to);
  }
}

/// A shard of the input's outermost factor must be the same shard of the output's.
TEST(Reshape, splitAlongASharedAxisIsContiguousOnBothSides) {
  const Applied a = reshape({4, 6, 10}, {4, 3, 20});
  ASSERT_EQ(a.nest.inputs[0][1].outer, a.nest.outputs[0][1].outer);
  const Applied shard = reshape({4, 2, 10}, {4, 1, 20});
  EXPECT_EQ(shard.out[0].shape, (Shape{4, 1, 20}));
}

TEST(Transpose, permutesWalks) {
  const Applied a = apply("Transpose", {{2, 3, 4}}, {{"perm", Shape{2, 0, 1}}});
  EXPECT_EQ(a.out[0].shape, (Shape{4, 2, 3}));
  EXPECT_EQ(a.nest.outputs[0][1], a.nest.inputs[0][0]);
  EXPECT_TRUE(a.matches);
}

TEST(Concat, keepsItsOwnDimensionApart) {
  const Applied a = apply("Concat", {{2, 3}, {2, 5}}, {{"axis", int64_t{1}}});
  EXPECT_EQ(a.out[0].shape, (Shape{2, 8}));
  EXPECT_EQ(outer(a, a.nest.inputs[1][1]).kind, AxisKind::opaque);
  EXPECT_EQ(a.nest.inputs[1][0], a.nest.outputs[0][0]);
  EXPECT_TRUE(a.matches);
}

TEST(Split, needsSizesThatAddUp) {
  EXPECT_EQ(
      apply("Split", {{2, 7}}, {{"axis", int64_t{1}}, {"num_outputs", int64_t{3}}}).out[2].shape,
      (Shape{2, 1}));
  EXPECT_THROW(apply("Split", {{2, 7}}, {{"axis", int64_t{1}}, {"split", Shape{3, 3}}}), Error);
}

TEST(Slice, clampsAsOnnxDoes) {
  const auto extent = [](int64_t start, int64_t end, int64_t step) {
    return apply("Slice", {{10}},
                 {{"starts", Shape{start}},
                  {"ends", Shape{end}},
                  {"axes", Shape{0}},
                  {"steps", Shape{step}}})
        .out[0]
        .shape[0];
  };
  EXPECT_EQ(extent(2, INT64_MAX, 1), 8);
  EXPECT_EQ(extent(-3, -1, 1), 2);
  EXPECT_EQ(extent(0, 10, 3), 4);
  EXPECT_EQ(extent(-1, INT64_MIN, -1), 10);
  EXPECT_EQ(extent(9, 0, -4), 3);
}

TEST(Gather, replacesItsAxisByTheIndices) {
  const Applied a = apply("Gather", {{5, 6, 7}, {2, 3}}, {{"axis", int64_t{1}}});
  EXPECT_EQ(a.out[0].shape, (Shape{5, 2, 3, 7}));
  EXPECT_EQ(outer(a, a.nest.inputs[0][1]).kind, AxisKind::opaque);
  EXPECT_EQ(a.nest.outputs[0][1], a.nest.inputs[1][0]);
  EXPECT_TRUE(a.matches);
}

TEST(GatherND, sharesItsBatchDimensions) {
  const Applied a = apply("GatherND", {{2, 5, 6}, {2, 3, 1}}, {{"batch_dims", int64_t{1}}});
  EXPECT_EQ(a.out[0].shape, (Shape{2, 3, 6}));
  EXPECT_EQ(a.nest.inputs[0][0], a.nest.inputs[1][0]);
  EXPECT_TRUE(a.matches);
}

TEST(DepthToSpace, keepsItsElements) {
  const Applied a = apply("DepthToSpace", {{1, 12, 4, 5}}, {{"blocksize", int64_t{2}}});
  EXPECT_EQ(a.out[0].shape, (Shape{1, 3, 8, 10}));
  EXPECT_THROW(apply("DepthToSpace", {{1, 10, 4, 5}}, {{"blocksize", int64_t{2}}}), Error);
}

TEST(Reduce, sumsArePartialAndMaximaAreStatistics) {
  const Attributes last{{"axes", Shape{-1}}, {"keepdims", int64_t{0}}};
  const Applied sum = apply("ReduceSum", {{2, 8}}, last), max = apply("ReduceMax", {{2, 8}}, last);
  EXPECT_EQ(sum.out[0].shape, (Shape{2}));
  EXPECT_EQ(outer(sum, sum.nest.inputs[0][1]).kind, AxisKind::reduce);
  EXPECT_EQ(outer(max, max.nest.inputs[0][1]).kind, AxisKind::normalised);
  EXPECT_TRUE(operatorDef("ReduceSum").linear);
  EXPECT_FALSE(operatorDef("ReduceMax").linear);
}

TEST(TopK, yieldsValuesAndIndices) {
  const Applied a = apply("TopK", {{4, 100}}, {{"axis", int64_t{-1}}, {"k", int64_t{5}}});
  EXPECT_EQ(a.out[0].shape, (Shape{4, 5}));
  EXPECT_EQ(a.out[1].dtype, DType::i64);
  EXPECT_THROW(apply("TopK", {{4, 100}}, {{"k", int64_t{101}}}), Error);
}

TEST(Recurrent, countsTheProductsOfAllGates) {
  const Attributes attributes;
  const std::vector<TensorType> in{
      {DType::f32, {10, 4, 32}}, {DType::f32, {1, 192, 32}}, {DType::f32, {1, 192, 64}}};
  const OperatorDef& gru = operatorDef("GRU");
  const auto out = gru.infer(attributes, in);
  EXPECT_EQ(out[0].shape, (Shape{10, 1, 4, 64}));
  EXPECT_EQ(forwardFlops(gru, {attributes, in, out}).value, 10.0 * 4 * 192 * (2 * (32 + 64) + 8));
  EXPECT_TRUE(nestMatchesTypes(gru.nest({attributes, in, out}), {attributes, in, out}));
}

}  // namespace
}  // namespace meshplan
