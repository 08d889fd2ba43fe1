// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/import/onnx_import.h"
#include "tests/onnx_builder.h"

// Compositions that exporters write in place of one operator.

namespace meshplan {
namespace {

using Perm = std::vector<int64_t>;

/// q, k, v [2,4,8,16] as inputs; k is transposed to [2,4,16,8].
OnnxFile heads() {
  OnnxFile file;
  file.input("q", {2, 4, 8, 16}).input("k", {2, 4, 8, 16}).input("v", {2, 4, 8, 16}).output("o");
  file.scalar("c", 0.5F).node("Transpose", {"k"}, {"kt"}).attr("perm", Perm{0, 1, 3, 2});
  return file;
}

void expectAttention(const Model& model, bool causal, size_t inputs = 3) {
  const Operator& attention = only(model.graph, "Attention");
  EXPECT_EQ(attention.inputs.size(), inputs);
  EXPECT_EQ(attention.attributes.getInt("causal", 0), causal);
  EXPECT_EQ(countOf(model.graph, "Softmax") + countOf(model.graph, "MatMul"), 0);
  EXPECT_EQ(model.graph.tensor(attention.inputs[1]).type.shape, (Shape{2, 4, 8, 16}));
}

TEST(OnnxAttention, scaledAfterTheProduct) {
  OnnxFile file = heads();
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Div", {"s", "c"}, {"d"});
  file.node("Softmax", {"d"}, {"p"}).node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), false);
  EXPECT_EQ(countOf(file.import().graph, "Transpose"), 0);
}

TEST(OnnxAttention, scaledBeforeTheProductOnBothSides) {
  OnnxFile file = heads();
  file.node("Mul", {"q", "c"}, {"qs"}).node("Mul", {"kt", "c"}, {"ks"});
  file.node("MatMul", {"qs", "ks"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), false);
  EXPECT_EQ(countOf(file.import().graph, "Scale"), 0);
}

TEST(OnnxAttention, withAnAddedMaskThatIsComputed) {
  OnnxFile file = heads();
  file.input("mask", {2, 1, 1, 8}).node("MatMul", {"q", "kt"}, {"s"});
  file.node("Add", {"s", "mask"}, {"m"}).node("Softmax", {"m"}, {"p"});
  file.node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), false, 4);
}

TEST(OnnxAttention, withATriangularConstantMaskIsCausal) {
  OnnxFile file = heads();
  file.weight("tri", {1, 1, 8, 8}, 9).scalar("low", -1e9F);
  auto* tri = file.graph().mutable_initializer(file.graph().initializer_size() - 2);
  for (int i = 0; i < 64; ++i) tri->mutable_raw_data()->push_back(i % 8 <= i / 8 ? 1 : 0);
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Where", {"tri", "s", "low"}, {"m"});
  file.node("Softmax", {"m"}, {"p"}).node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), true);
}

TEST(OnnxAttention, withATriangleMadeByTriluIsCausal) {
  OnnxFile file = heads();
  file.ints("shape", {8, 8}).node("ConstantOfShape", {"shape"}, {"full"});
  file.node("Trilu", {"full"}, {"tri"}).attr("upper", int64_t{1});
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Add", {"s", "tri"}, {"m"});
  file.node("Softmax", {"m"}, {"p"}).node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), true);
}

TEST(OnnxAttention, withPositionsComparedIsCausal) {
  OnnxFile file = heads();
  file.ints("p0", {0, 1, 2, 3, 4, 5, 6, 7}).ints("one", {1}).scalar("low", -1e9F);
  file.node("Unsqueeze", {"p0", "one"}, {"rows"}).node("LessOrEqual", {"p0", "rows"}, {"see"});
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Where", {"see", "s", "low"}, {"m"});
  file.node("Softmax", {"m"}, {"p"}).node("MatMul", {"p", "v"}, {"o"});
  expectAttention(file.import(), true);
}

TEST(OnnxAttention, withGuardsAgainstRowsWithoutKeys) {
  OnnxFile file = heads();
  file.scalar("zero", 0.F).node("MatMul", {"q", "kt"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("IsNaN", {"p"}, {"nan"}).node("Where", {"nan", "zero", "p"}, {"g"});
  file.node("MatMul", {"g", "v"}, {"o"});
  expectAttention(file.import(), false);
}

TEST(OnnxAttention, keepsGroupedKeysUnrepeated) {
  OnnxFile file;
  file.input("q", {2, 4, 8, 16}).input("k", {2, 2, 8, 16}).input("v", {2, 2, 8, 16}).output("o");
  file.ints("two", {2}).ints("wide", {2, 2, 2, 8, 16}).ints("flat", {2, 4, 8, 16});
  for (const std::string x : {"k", "v"}) {
    file.node("Unsqueeze", {x, "two"}, {x + "u"}).node("Expand", {x + "u", "wide"}, {x + "e"});
    file.node("Reshape", {x + "e", "flat"}, {x + "r"});
  }
  file.node("Transpose", {"kr"}, {"kt"}).attr("perm", Perm{0, 1, 3, 2});
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("MatMul", {"p", "vr"}, {"o"});
  const Model model = file.import();
  const Operator& attention = only(model.graph, "Attention");
  EXPECT_EQ(model.graph.tensor(attention.inputs[1]).type.shape, (Shape{2, 2, 8, 16}));
  EXPECT_EQ(countOf(model.graph, "Expand"), 0);
}

TEST(OnnxAttention, withHeadsMergedIntoTheBatch) {
  OnnxFile file;
  file.input("q", {8, 5, 16}).input("kt", {8, 16, 7}).input("v", {8, 7, 16}).output("o");
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("MatMul", {"p", "v"}, {"o"});
  const Model model = file.import();
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Attention").inputs[0]).type.shape,
            (Shape{8, 1, 5, 16}));
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Squeeze").outputs[0]).type.shape,
            (Shape{8, 5, 16}));
}

TEST(OnnxAttention, withProbabilitiesAsAnOutputKeepsThem) {
  OnnxFile file = heads();
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("MatMul", {"p", "v"}, {"o"}).node("Neg", {"p"}, {"shown"}).output("shown");
  EXPECT_EQ(countOf(file.import().graph, "Softmax"), 1);
}

TEST(OnnxAttention, isTheSameWorkAsItsParts) {
  OnnxFile file = heads();
  file.node("MatMul", {"q", "kt"}, {"s"}).node("Softmax", {"s"}, {"p"});
  file.node("MatMul", {"p", "v"}, {"o"});
  const Model model = file.import();
  const Operator& op = only(model.graph, "Attention");
  const OpId id = model.graph.tensor(op.outputs[0]).producer;
  const auto in = model.graph.inputTypes(id), out = model.graph.outputTypes(id);
  EXPECT_EQ(forwardFlops(*op.def, {op.attributes, in, out}).value, 2 * 2.0 * 2 * 4 * 8 * 8 * 16);
}

TEST(OnnxPatterns, decomposedLayerNormalisation) {
  OnnxFile file;
  file.input("x", {2, 8, 16}).weight("g", {16}).weight("b", {16}).output("y");
  file.scalar("two", 2.F).scalar("eps", 1e-5F);
  file.node("ReduceMean", {"x"}, {"m"}).attr("axes", Perm{-1}).node("Sub", {"x", "m"}, {"d"});
  file.node("Pow", {"d", "two"}, {"q"}).node("ReduceMean", {"q"}, {"v"}).attr("axes", Perm{-1});
  file.node("Add", {"v", "eps"}, {"e"}).node("Sqrt", {"e"}, {"s"}).node("Div", {"d", "s"}, {"n"});
  file.node("Mul", {"n", "g"}, {"t"}).node("Add", {"t", "b"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(only(model.graph, "LayerNormalization").inputs.size(), 3U);
  EXPECT_EQ(countOf(model.graph, "ReduceMean"), 0);
  EXPECT_EQ(model.graph.parameterCount(), 32);
}

TEST(OnnxAttention, writtenWithEinsum) {
  OnnxFile file;
  for (const char* name : {"q", "k", "v"}) file.input(name, {2, 8, 4, 16});
  file.output("o")
      .node("Einsum", {"k", "q"}, {"s"})
      .attr("equation", std::string("aecd,abcd->acbe"));
  file.node("Softmax", {"s"}, {"p"}).node("Einsum", {"p", "v"}, {"o"});
  file.attr("equation", std::string("acbe,aecd->abcd"));
  const Model model = file.import();
  expectAttention(model, false);
  EXPECT_EQ(countOf(model.graph, "Einsum"), 0);
  EXPECT_EQ(model.graph.tensor(only(model.graph, "CrossEntropy").inputs[0]).type.shape,
            (Shape{2, 8, 4, 16}));
}

TEST(OnnxPatterns, layerNormalisationWithItsMeanFoldedIntoTheShift) {
  OnnxFile file;
  file.input("x", {2, 8, 16}).weight("g", {16}).weight("b", {16}).output("y").scalar("eps", 1e-5F);
  file.node("ReduceMean", {"x"}, {"m"}).attr("axes", Perm{2}).node("Sub", {"x", "m"}, {"d"});
  file.node("Mul", {"d", "d"}, {"q"}).node("ReduceMean", {"q"}, {"v"}).attr("axes", Perm{2});
  file.node("Add", {"v", "eps"}, {"e"}).node("Sqrt", {"e"}, {"s"}).node("Reciprocal", {"s"}, {"r"});
  file.node("Mul", {"r", "g"}, {"f"})
      .node("Mul", {"f", "x"}, {"xs"})
      .node("Mul", {"f", "m"}, {"ms"});
  file.node("Sub", {"b", "ms"}, {"t"}).node("Add", {"xs", "t"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(only(model.graph, "LayerNormalization").inputs.size(), 3U);
  EXPECT_EQ(countOf(model.graph, "Sub") + countOf(model.graph, "Mul"), 0);
  EXPECT_EQ(model.graph.parameterCount(), 32);
}

TEST(OnnxPatterns, linearLayersNeedNoMergedDimensions) {
  OnnxFile file;
  file.input("x", {2, 8, 16}).weight("w", {16, 32}).weight("b", {32}).output("y");
  file.ints("flat", {16, 16}).ints("deep", {2, 8, 32});
  file.node("Reshape", {"x", "flat"}, {"f"}).node("Gemm", {"f", "w", "b"}, {"h"});
  file.node("Reshape", {"h", "deep"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Linear").inputs[0]).type.shape,
            (Shape{2, 8, 16}));
  EXPECT_EQ(countOf(model.graph, "Reshape"), 0);
}

TEST(OnnxPatterns, rotaryPositionsFromTheirHalves) {
  OnnxFile file;
  file.input("x", {2, 4, 8, 16}).weight("cos", {1, 1, 8, 16}).weight("sin", {1, 1, 8, 16});
  file.output("y").node("Mul", {"x", "cos"}, {"a"});
  file.node("Split", {"x"}, {"l", "r"}).attr("axis", int64_t{3}).attr("num_outputs", int64_t{2});
  file.node("Neg", {"r"}, {"n"}).node("Concat", {"n", "l"}, {"t"}).attr("axis", int64_t{3});
  file.node("Mul", {"t", "sin"}, {"b"}).node("Add", {"a", "b"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(countOf(model.graph, "Rotary"), 1);
  EXPECT_EQ(countOf(model.graph, "Concat"), 0);
  EXPECT_EQ(model.graph.parameterCount(), 0);
}

TEST(OnnxPatterns, decomposedRootMeanSquareNormalisation) {
  OnnxFile file;
  file.input("x", {2, 8, 16}).weight("g", {16}).output("y").scalar("eps", 1e-5F);
  file.node("Mul", {"x", "x"}, {"q"}).node("ReduceMean", {"q"}, {"v"}).attr("axes", Perm{-1});
  file.node("Add", {"v", "eps"}, {"e"}).node("Sqrt", {"e"}, {"s"}).node("Reciprocal", {"s"}, {"r"});
  file.node("Mul", {"x", "r"}, {"n"}).node("Mul", {"g", "n"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(countOf(model.graph, "RMSNormalization"), 1);
  EXPECT_EQ(countOf(model.graph, "ReduceMean"), 0);
}

TEST(OnnxPatterns, geluFromItsErrorFunction) {
  OnnxFile file;
  file.input("x", {2, 16}).output("y").scalar("root", 1.41421F).scalar("one", 1.F);
  file.scalar("half", 0.5F).node("Div", {"x", "root"}, {"a"}).node("Erf", {"a"}, {"e"});
  file.node("Add", {"e", "one"}, {"p"}).node("Mul", {"x", "p"}, {"m"});
  file.node("Mul", {"m", "half"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(countOf(model.graph, "Gelu"), 1);
  EXPECT_EQ(countOf(model.graph, "Erf"), 0);
}

TEST(OnnxPatterns, siluFromItsGate) {
  OnnxFile file;
  file.input("x", {2, 16}).output("y");
  file.node("Sigmoid", {"x"}, {"s"}).node("Mul", {"x", "s"}, {"y"});
  EXPECT_EQ(countOf(file.import().graph, "Silu"), 1);
}

TEST(OnnxPatterns, biasJoinsItsLinearLayer) {
  OnnxFile file;
  file.input("x", {2, 8, 16}).weight("w", {16, 32}).weight("b", {32}).output("y");
  file.node("MatMul", {"x", "w"}, {"h"}).node("Add", {"b", "h"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(only(model.graph, "Linear").inputs.size(), 3U);
  EXPECT_EQ(countOf(model.graph, "Add"), 0);
}

}  // namespace
}  // namespace meshplan
