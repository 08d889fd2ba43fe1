// SPDX-License-Identifier: Apache-2.0
#include "core/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "core/graph.h"

namespace meshplan {
namespace {

/// One operator with its inferred types.
struct Instance {
  const OperatorDef* def;
  Attributes attributes;
  std::vector<TensorType> inputs, outputs;

  Instance(std::string_view name, std::vector<Shape> shapes, Attributes a = {})
      : def(&operatorDef(name)), attributes(std::move(a)) {
    for (Shape& s : shapes) inputs.push_back({DType::f16, std::move(s)});
    outputs = def->infer(attributes, inputs);
  }
  OpContext context() const { return {attributes, inputs, outputs}; }
  LoopNest nest() const { return def->nest(context()); }
  double flops() const { return forwardFlops(*def, context()).value; }
};

std::vector<Instance> instances() {
  const Attributes heads{{"head_dim", int64_t{16}}, {"group", int64_t{4}}};
  const Attributes kernel{{"kernel_shape", std::vector<int64_t>{3, 2}},
                          {"strides", std::vector<int64_t>{2, 1}}};
  const Attributes math{{"implementation", std::string("math")}, {"dropout", 0.1}};
  return {
      {"Linear",
       {{2, 8, 12}, {12, 20}, {20}},
       {{"out_block", int64_t{5}}, {"in_block", int64_t{3}}}},
      {"Linear", {{2, 8, 12}, {20, 12}}, {{"transposed", int64_t{1}}}},
      {"Linear", {{12}, {12, 20}}},
      {"MatMul", {{2, 1, 8, 12}, {3, 12, 20}}},
      {"MatMul", {{12}, {3, 12, 20}}},
      {"MatMul", {{3, 8, 12}, {12}}},
      {"Gemm", {{12, 8}, {20, 12}, {1, 20}}, {{"transA", int64_t{1}}, {"transB", int64_t{1}}}},
      {"Einsum", {{2, 8, 12}, {2, 8, 20}}, {{"equation", std::string("bik,bij->bkj")}}},
      {"Einsum", {{2, 3, 8, 12}, {12, 20}}, {{"equation", std::string("...ij,jk")}}},
      {"ExpertLinear", {{4, 6, 12}, {4, 12, 20}}, {{"out_block", int64_t{2}}}},
      {"ExpertLinear", {{4, 6, 12}, {4, 12, 20}, {4, 20}}},
      {"Conv", {{2, 12, 9, 10}, {20, 3, 3, 3}, {20}}, {{"group", int64_t{4}}}},
      {"ConvTranspose",
       {{2, 12, 9, 10}, {12, 5, 2, 2}, {10}},
       {{"group", int64_t{2}}, {"strides", std::vector<int64_t>{2, 2}}}},
      {"MaxPool", {{2, 12, 9, 10}}, kernel},
      {"AveragePool", {{2, 12, 9, 10}}, kernel},
      {"LpPool", {{2, 12, 9, 10}}, kernel},
      {"GlobalAveragePool", {{2, 12, 9, 10}}},
      {"GlobalMaxPool", {{2, 12, 9, 10}}},
      {"GlobalLpPool", {{2, 12, 9, 10}}},
      {"Attention", {{2, 8, 6, 16}, {2, 2, 10, 16}, {2, 2, 10, 12}}},
      {"Attention", {{2, 8, 6, 16}, {2, 2, 10, 16}, {2, 2, 10, 12}, {1, 8, 6, 10}}, math},
      {"LayerNormalization", {{2, 8, 12}, {12}, {12}}},
      {"LayerNormalization", {{2, 8, 12}, {8, 12}}, {{"axis", int64_t{1}}}},
      {"RMSNormalization", {{2, 8, 12}, {12}}},
      {"BatchNormalization", {{2, 12, 9, 10}, {12}, {12}, {12}, {12}}},
      {"InstanceNormalization", {{2, 12, 9}, {12}, {12}}},
      {"GroupNormalization", {{2, 12, 9}, {12}, {12}}, {{"group_size", int64_t{3}}}},
      {"GroupNormalization", {{2, 12, 9}, {4}, {4}}, {{"group_size", int64_t{3}}}},
      {"LRN", {{2, 12, 9, 10}}},
      {"LpNormalization", {{2, 12}}},
      {"MeanVarianceNormalization", {{2, 12, 9, 10}}},
      {"Softmax", {{2, 8, 12}}, {{"axis", int64_t{1}}}},
      {"LogSoftmax", {{2, 8, 12}}, {{"axis", int64_t{1}}, {"coerced", int64_t{1}}}},
      {"Add", {{2, 8, 12}, {8, 1}}},
      {"Where", {{2, 1, 12}, {8, 1}, {1}}},
      {"Sum", {{2, 8}, {8}, {2, 1}}},
      {"PRelu", {{2, 8, 12}, {8, 1}}},
      {"Cast", {{2, 8}}, {{"to", std::string("int64")}}},
      {"Dropout", {{2, 8}}},
      {"SwiGLU", {{2, 8, 12}}},
      {"Rotary", {{2, 4, 8, 16}}},
      {"SplitHeads", {{2, 8, 288}}, heads},
      {"ToHeads", {{2, 8, 64}}, heads},
      {"MergeHeads", {{2, 4, 8, 16}}},
      {"LatentKeyValue", {{2, 4, 8, 28}, {2, 1, 8, 6}}, {{"value_dim", int64_t{12}}}},
      {"PatchTokens", {{2, 12, 4, 4}, {12}}},
      {"FirstToken", {{2, 8, 12}}},
      {"Embedding", {{2, 8}, {100, 12}}},
      {"PositionEmbedding", {{2, 8, 12}, {100, 12}}},
      {"RelativeBias", {{32, 8}}, {{"queries", int64_t{6}}, {"keys", int64_t{10}}}},
      {"CrossEntropy", {{2, 8, 100}, {2, 8}}},
      {"MeanSquaredError", {{2, 8}, {2, 8}}},
      {"TopKRouter", {{2, 8, 16}}, {{"k", int64_t{2}}}},
      {"Dispatch", {{2, 8, 12}, {2, 8, 2}}, {{"experts", int64_t{16}}}},
      {"Dispatch", {{2, 7, 12}, {2, 7, 2}}, {{"experts", int64_t{16}}}},
      {"Combine", {{16, 2, 12}, {2, 8, 2}, {2, 8, 2}}},
      {"Update", {{12, 20}, {12, 20}, {12, 20}}},
      {"Opaque", {{2, 8}, {4}}},
  };
}

TEST(Operator, EveryNestMatchesItsTypes) {
  for (const Instance& i : instances())
    EXPECT_TRUE(nestMatchesTypes(i.nest(), i.context())) << i.def->name;
}

TEST(Operator, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const OperatorDef& def : operatorDefs()) {
    EXPECT_TRUE(names.insert(def.name).second) << def.name;
    EXPECT_EQ(findOperatorDef(def.name), &def);
    EXPECT_TRUE(def.infer && def.nest) << def.name;
  }
  EXPECT_EQ(findOperatorDef("Bogus"), nullptr);
  EXPECT_THROW(operatorDef("Bogus"), Error);
}

TEST(Operator, ProductsCountTwoFlopsPerPointOfTheirNest) {
  EXPECT_EQ(Instance("Linear", {{2, 8, 12}, {12, 20}}).flops(), 2.0 * 2 * 8 * 12 * 20);
  EXPECT_EQ(Instance("Gemm", {{8, 12}, {12, 20}}).flops(), 2.0 * 8 * 12 * 20);
  EXPECT_EQ(Instance("Conv", {{2, 12, 9, 10}, {20, 3, 3, 3}}, {{"group", int64_t{4}}}).flops(),
            2.0 * 2 * 20 * 3 * 7 * 8 * 9);
  EXPECT_EQ(Instance("Attention", {{2, 8, 6, 16}, {2, 2, 10, 16}, {2, 2, 10, 12}}).flops(),
            2.0 * 2 * 8 * 6 * 10 * (16 + 12));
}

TEST(Operator, AShardOfTheOutermostAxisIsTheSameNestWithASmallerExtent) {
  const Attributes blocks{{"out_block", int64_t{5}}};
  const Instance whole("Linear", {{2, 8, 12}, {12, 20}}, blocks);
  const Instance half("Linear", {{2, 8, 12}, {12, 10}}, blocks);
  const LoopNest a = whole.nest(), b = half.nest();
  ASSERT_EQ(a.axes.size(), b.axes.size());
  EXPECT_EQ(a.outputs, b.outputs);
  const int8_t split = a.outputs[0][2].outer;
  for (size_t i = 0; i < a.axes.size(); ++i)
    EXPECT_EQ(b.axes[i].extent, a.axes[i].extent / (static_cast<int8_t>(i) == split ? 2 : 1));
}

TEST(Operator, DispatchMovesASplitOfTheBatchToTheSlots) {
  const LoopNest nest =
      Instance("Dispatch", {{4, 8, 12}, {4, 8, 2}}, {{"experts", int64_t{8}}}).nest();
  const int8_t batch = nest.inputs[0][0].outer;
  EXPECT_EQ(nest.outputs[0][1].outer, batch);
  EXPECT_EQ(nest.axes[static_cast<size_t>(batch)].kind, AxisKind::parallel);
  EXPECT_EQ(nest.axes[static_cast<size_t>(nest.outputs[0][0].outer)].kind, AxisKind::opaque);
}

TEST(Operator, InputsThatDoNotFitAreRefused) {
  EXPECT_THROW(Instance("Linear", {{2, 12}, {13, 20}}), Error);
  EXPECT_THROW(Instance("Linear", {{2, 12}, {12, 20}}, {{"out_block", int64_t{3}}}), Error);
  EXPECT_THROW(Instance("Add", {{2, 3}, {2, 4}}), Error);
  EXPECT_THROW(Instance("Conv", {{2, 12, 2, 2}, {20, 12, 3, 3}}), Error);
  EXPECT_THROW(Instance("Conv", {{2, 12, 9, 9}, {20, 6, 3, 3}}, {{"group", int64_t{1}}}), Error);
  EXPECT_THROW(
      Instance("Conv", {{2, 12, 9, 9}, {20, 12, 3, 3}}, {{"strides", std::vector<int64_t>{0, 1}}}),
      Error);
  EXPECT_THROW(Instance("Attention", {{2, 8, 6, 16}, {2, 3, 10, 16}, {2, 3, 10, 16}}), Error);
  EXPECT_THROW(Instance("Softmax", {{2, 8}}, {{"axis", int64_t{2}}}), Error);
  EXPECT_THROW(Instance("Einsum", {{2, 8}}, {{"equation", std::string("ab->ac")}}), Error);
  EXPECT_THROW(Instance("Embedding", {{2, 8}, {100}}), Error);
}

}  // namespace
}  // namespace meshplan
