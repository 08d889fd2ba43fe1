// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/onnx_builder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

ModelRequest withDims(std::map<std::string, int64_t> dims) {
  ModelRequest request;
  request.source = "model.onnx";
  request.dims = std::move(dims);
  return request;
}

std::string failure(const OnnxFile& file, const ModelRequest& request = withDims({})) {
  try {
    file.import(request);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_FALSE(e.remedy().empty()) << e.what();
    return e.what();
  }
  return "no error";
}

bool warns(const Model& model, const std::string& part) {
  for (const std::string& w : model.warnings)
    if (w.find(part) != std::string::npos) return true;
  return false;
}

OnnxFile perceptron() {
  OnnxFile file;
  file.input("x", {"batch", 16}).weight("w", {32, 16}).weight("b", {32}).output("y");
  file.node("Gemm", {"x", "w", "b"}, {"y"}, "/net/fc1/Gemm").attr("transB", int64_t{1});
  return file;
}

TEST(OnnxImport, gemmWithAConstantMatrixIsALinearLayer) {
  const Model model = perceptron().import(withDims({{"batch", 8}}));
  const Operator& linear = only(model.graph, "Linear");
  EXPECT_EQ(model.graph.parameterCount(), 32 * 16 + 32);
  EXPECT_EQ(linear.module, "net.fc1");
  EXPECT_EQ(model.graph.tensor(linear.outputs[0]).type.shape, (Shape{8, 32}));
  EXPECT_EQ(model.graph.tensor(linear.outputs[0]).batchDim, 0);
  EXPECT_EQ(model.referenceBatch, 8);
}

TEST(OnnxImport, unboundDimensionsAreListedWithTheOptionsThatBindThem) {
  OnnxFile file;
  file.input("ids", {"batch", "s1"}, 7).input("z", {"2*s0", ""}).output("ids");
  EXPECT_THAT(failure(file), HasSubstr("'batch', 's0', 's1', 'z.1'"));
  EXPECT_THAT(failure(file), HasSubstr("--dim batch=8 --dim s0=1024"));
}

TEST(OnnxImport, expressionsOfBoundDimensionsAreComputed) {
  OnnxFile file;
  file.input("x", {"n", "2*s0 + 1", "(s0 - 1) // 3"}).output("y").node("Relu", {"x"}, {"y"});
  const Model model = file.import(withDims({{"n", 4}, {"s0", 8}}));
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Relu").inputs[0]).type.shape, (Shape{4, 17, 2}));
}

TEST(OnnxImport, theSequenceOptionBindsItsUsualNames) {
  OnnxFile file;
  file.input("ids", {"batch", "sequence_length"}, 7).weight("table", {100, 8}).output("y");
  file.node("Gather", {"table", "ids"}, {"y"});
  ModelRequest request = withDims({{"batch", 2}});
  request.sequence = 64;
  const Model model = file.import(request);
  EXPECT_EQ(model.tokensPerSample, 64);
  EXPECT_EQ(model.graph.parameterCount(), 800);
  const Operator& embedding = only(model.graph, "Embedding");
  EXPECT_EQ(model.graph.tensor(embedding.outputs[0]).sequenceDim, 1);
}

TEST(OnnxImport, aDimensionThatNothingUsesIsReported) {
  EXPECT_TRUE(warns(perceptron().import(withDims({{"batch", 8}, {"bach", 8}})), "'bach'"));
}

TEST(OnnxImport, shapeComputationsLeaveNoOperators) {
  OnnxFile file;
  file.input("x", {2, 6, 8}).ints("zero", {0}).ints("tail", {4, 12}).output("y");
  file.node("Shape", {"x"}, {"s"}).node("Gather", {"s", "zero"}, {"b"});
  file.node("Concat", {"b", "tail"}, {"shape"}).attr("axis", int64_t{0});
  file.node("Reshape", {"x", "shape"}, {"r"}).node("Relu", {"r"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(countOf(model.graph, "Shape") + countOf(model.graph, "Gather"), 0);
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Relu").outputs[0]).type.shape, (Shape{2, 4, 12}));
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Relu").outputs[0]).batchDim, 0);
}

TEST(OnnxImport, aTiedWeightIsOneParameter) {
  OnnxFile file;
  file.input("ids", {2, 16}, 7).weight("table", {100, 8}).output("logits");
  file.node("Gather", {"table", "ids"}, {"h"}).node("Transpose", {"table"}, {"t"});
  file.attr("perm", std::vector<int64_t>{1, 0}).node("MatMul", {"h", "t"}, {"logits"});
  const Model model = file.import();
  EXPECT_EQ(model.graph.parameterCount(), 800);
  EXPECT_EQ(only(model.graph, "Linear").attributes.getInt("transposed", 0), 1);
  EXPECT_EQ(countOf(model.graph, "Transpose"), 0);
}

TEST(OnnxImport, initialisersListedAsInputsAreWeights) {
  OnnxFile file(9, 3);
  file.input("x", {2, 16}).input("w", {16, 4}).weight("w", {16, 4}).output("y");
  file.node("MatMul", {"x", "w"}, {"y"});
  EXPECT_EQ(file.import().graph.parameterCount(), 64);
}

TEST(OnnxImport, weightsWithoutValuesMadeByConstantOfShapeAreParameters) {
  OnnxFile file(9, 3);
  file.input("x", {1, 3, 8, 8}).ints("shape", {4, 3, 3, 3}).output("y");
  file.node("ConstantOfShape", {"shape"}, {"w"}).node("Conv", {"x", "w"}, {"y"});
  EXPECT_EQ(file.import().graph.parameterCount(), 4 * 3 * 9);
}

TEST(OnnxImport, integerAndStatisticsInitialisersAreNotTrained) {
  OnnxFile file;
  file.input("x", {2, 8, 4, 4}).output("y");
  for (const char* name : {"scale", "shift", "mean", "var"}) file.weight(name, {8});
  file.node("BatchNormalization", {"x", "scale", "shift", "mean", "var"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(model.graph.parameterCount(), 16);
  EXPECT_EQ(only(model.graph, "BatchNormalization").attributes.getInt("training", 0), 1);
}

TEST(OnnxImport, modulesComeFromTheExportersScopes) {
  OnnxFile file = perceptron();
  file.metadata("pkg.torch.onnx.name_scopes", "['', 'net', 'net.layers.0', 'linear']");
  EXPECT_EQ(only(file.import(withDims({{"batch", 1}})).graph, "Linear").module, "net.layers.0");
}

TEST(OnnxImport, moduleListsShowUpOnceInModules) {
  OnnxFile file = perceptron();
  file.last().set_name("/model/layers/layers.0/q_proj/Gemm");
  const Model model = file.import(withDims({{"batch", 1}}));
  EXPECT_EQ(only(model.graph, "Linear").module, "model.layers.0.q_proj");
}

TEST(OnnxImport, unknownOperatorsStayAsOpaqueOnesWithTheirShare) {
  OnnxFile file;
  file.input("x", {4, 16}).output("y");
  file.node("Relu", {"x"}, {"r"}).node("Frobnicate", {"r"}, {"y"}, "odd", "com.example");
  const Model model = file.import();
  const Operator& opaque = only(model.graph, "Opaque");
  EXPECT_EQ(opaque.attributes.getString("type", ""), "com.example.Frobnicate");
  EXPECT_EQ(model.graph.tensor(opaque.outputs[0]).type.shape, (Shape{4, 16}));
  EXPECT_TRUE(warns(model, "com.example.Frobnicate (1x); "));
  EXPECT_TRUE(warns(model, "% of the bytes"));
}

TEST(OnnxImport, aShapeComputedFromDataMakesAnOpaqueOperatorOfTheDeclaredType) {
  OnnxFile file;
  file.input("x", {4, 16}).input("s", {2}, 7).output("y");
  file.node("Reshape", {"x", "s"}, {"y"});
  auto* info = file.graph().add_value_info();
  info->set_name("y");
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(1);
  type->mutable_shape()->add_dim()->set_dim_value(8);
  type->mutable_shape()->add_dim()->set_dim_value(8);
  const Model model = file.import();
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Opaque").outputs[0]).type.shape, (Shape{8, 8}));
  EXPECT_TRUE(warns(model, "'s' is computed from data"));
}

TEST(OnnxImport, softmaxAtTheEndGivesWayToTheLoss) {
  OnnxFile file = perceptron();
  file.graph().mutable_output(0)->set_name("p");
  file.node("Softmax", {"y"}, {"p"});
  const Model model = file.import(withDims({{"batch", 8}}));
  EXPECT_EQ(countOf(model.graph, "Softmax"), 0);
  EXPECT_EQ(model.graph.tensor(only(model.graph, "CrossEntropy").inputs[1]).type.shape, (Shape{8}));
  EXPECT_TRUE(warns(model, "cross-entropy over 'y' [8,32]"));
}

TEST(OnnxImport, aVectorOutputIsLearnedWithTheSquaredError) {
  OnnxFile file;
  file.input("x", {8, 16}).ints("axes", {1}).output("y");
  file.node("ReduceSum", {"x", "axes"}, {"y"}).attr("keepdims", int64_t{0});
  EXPECT_EQ(countOf(file.import().graph, "MeanSquaredError"), 1);
}

TEST(OnnxImport, earlySoftmaxNormalisesEverythingFromItsAxis) {
  OnnxFile file(11);
  file.input("x", {2, 3, 4}).output("y").node("Softmax", {"x"}, {"s"}).node("Relu", {"s"}, {"y"});
  const Model model = file.import();
  const Operator& softmax = only(model.graph, "Softmax");
  EXPECT_EQ(softmax.attributes.getInt("axis", 0), 1);
  EXPECT_EQ(softmax.attributes.getInt("coerced", 0), 1);
}

TEST(OnnxImport, recurrentLayersKeepTheirWeights) {
  OnnxFile file;
  file.input("x", {5, 2, 8}).weight("w", {2, 48, 8}).weight("r", {2, 48, 12}).weight("b", {2, 96});
  file.output("y")
      .node("LSTM", {"x", "w", "r", "b"}, {"y", "", ""})
      .attr("hidden_size", int64_t{12});
  file.attr("direction", std::string("bidirectional"));
  const Model model = file.import();
  const Operator& lstm = only(model.graph, "LSTM");
  EXPECT_EQ(model.graph.parameterCount(), 2 * 48 * (8 + 12 + 2));
  EXPECT_EQ(model.graph.tensor(lstm.outputs[0]).type.shape, (Shape{5, 2, 2, 12}));
}

TEST(OnnxImport, aWeightUsedInPartsIsOneParameter) {
  OnnxFile file;
  file.input("x", {5, 2, 8}).weight("w", {1, 48, 8}).weight("r", {1, 48, 12}).output("y");
  file.ints("at", {0}).ints("mid", {24}).ints("end", {48}).ints("one", {1});
  file.node("Slice", {"w", "at", "mid", "one"}, {"w0"})
      .node("Slice", {"w", "mid", "end", "one"}, {"w1"});
  file.node("Concat", {"w1", "w0"}, {"ws"}).attr("axis", int64_t{1});
  file.node("LSTM", {"x", "ws", "r"}, {"y"}).attr("hidden_size", int64_t{12});
  const Model model = file.import();
  EXPECT_EQ(model.graph.parameterCount(), 48 * 20);
  EXPECT_EQ(countOf(model.graph, "Slice") + countOf(model.graph, "Concat"), 0);
}

TEST(OnnxImport, aPositionTableCountsWholeThoughOnlyAPartIsRead) {
  OnnxFile file;
  file.input("x", {2, 6, 8}).weight("positions", {1, 64, 8}).output("y");
  file.ints("zero", {0}).ints("six", {6}).ints("one", {1});
  file.node("Slice", {"positions", "zero", "six", "one"}, {"p"}).node("Add", {"x", "p"}, {"y"});
  EXPECT_EQ(file.import().graph.parameterCount(), 64 * 8);
}

TEST(OnnxImport, masksAndTablesAreNotTrained) {
  OnnxFile file;
  file.input("x", {2, 4, 8, 8}).weight("mask", {1, 1, 8, 8}).weight("table", {1, 1, 8, 8});
  file.output("y").node("Add", {"x", "mask"}, {"m"}).node("Mul", {"m", "table"}, {"y"});
  EXPECT_EQ(file.import().graph.parameterCount(), 0);
}

TEST(OnnxImport, contribOperatorsOfOnnxRuntimeAreRead) {
  OnnxFile file;
  const std::string ort = "com.microsoft";
  file.input("ids", {2, 16}, 7).output("y").weight("words", {100, 64}).weight("places", {32, 64});
  file.weight("g", {64}).weight("b", {64}).weight("w", {64, 192}).weight("c", {192});
  file.node("EmbedLayerNormalization", {"ids", "", "words", "places", "", "g", "b"}, {"h"}, "e",
            ort);
  file.node("Attention", {"h", "w", "c"}, {"a"}, "a", ort).attr("num_heads", int64_t{4});
  file.node("SkipLayerNormalization", {"a", "h", "g", "b"}, {"n"}, "s", ort);
  file.node("FastGelu", {"n"}, {"y"}, "f", ort);
  const Model model = file.import();
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Attention").inputs[0]).type.shape,
            (Shape{2, 4, 16, 16}));
  EXPECT_EQ(countOf(model.graph, "LayerNormalization"), 2);
  EXPECT_EQ(countOf(model.graph, "Opaque"), 0);
  EXPECT_EQ(model.graph.parameterCount(), 132 * 64 + 128 + 65 * 192);
}

TEST(OnnxImport, nodesMayStandInAnyOrder) {
  OnnxFile file;
  file.input("x", {2, 4}).output("z").node("Relu", {"y"}, {"z"}).node("Neg", {"x"}, {"y"});
  const Model model = file.import();
  EXPECT_EQ(model.graph.op(OpId(0)).def->name, "Neg");
}

TEST(OnnxImport, aCycleNamesItsNodes) {
  OnnxFile file;
  file.input("x", {2, 4}).output("z").node("Add", {"x", "z"}, {"y"}, "first");
  file.node("Relu", {"y"}, {"z"}, "second");
  EXPECT_THAT(failure(file), HasSubstr("'second' -> 'first' form a cycle"));
}

TEST(OnnxImport, errorsNameFileNodeAndRemedy) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("Relu", {"missing"}, {"y"}, "act");
  EXPECT_EQ(failure(file),
            "model.onnx: node act: reads 'missing', which nothing produces (the file is damaged; "
            "export the model again)");
}

TEST(OnnxImport, shapesThatDoNotFitAreAnErrorAtTheNode) {
  OnnxFile file;
  file.input("x", {2, 4}).weight("w", {5, 6}).output("y").node("MatMul", {"x", "w"}, {"y"}, "mm");
  EXPECT_THAT(failure(file), HasSubstr("model.onnx: mm: "));
}

TEST(OnnxImport, namesMustBeUnique) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("Relu", {"x"}, {"y"}).node("Neg", {"x"}, {"y"});
  EXPECT_THAT(failure(file), HasSubstr("two nodes produce 'y'"));
}

TEST(OnnxImport, extentsThatCannotBeAreRefused) {
  for (int64_t extent : {int64_t{0}, int64_t{-3}}) {
    OnnxFile file;
    file.input("x", {extent, 4}).output("y").node("Relu", {"x"}, {"y"});
    EXPECT_THAT(failure(file), HasSubstr("--dim x.0=1")) << extent;
  }
  OnnxFile huge;
  huge.input("x", {int64_t{1} << 40, int64_t{1} << 40}).output("y").node("Relu", {"x"}, {"y"});
  EXPECT_THAT(failure(huge), HasSubstr("overflows"));
  OnnxFile deep;
  deep.input("x", std::vector<OnnxFile::Dim>(1000, int64_t{1})).output("y");
  EXPECT_THAT(failure(deep), HasSubstr("rank 1000"));
}

TEST(OnnxImport, emptyWeightsAreRefusedWhereTheyAreUsed) {
  OnnxFile file;
  file.input("x", {2, 4}).weight("w", {4, 0}).output("y").node("MatMul", {"x", "w"}, {"y"}, "mm");
  EXPECT_THAT(failure(file), HasSubstr("no elements"));
}

}  // namespace
}  // namespace meshplan
