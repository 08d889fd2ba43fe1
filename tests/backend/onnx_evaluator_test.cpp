// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/onnx_cases.h"
#include "backend/onnx_weights.h"
#include "backend/tensor_proto.h"
#include "core/import/onnx_import.h"
#include "tests/onnx_builder.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

HostTensor floats(const Shape& shape, const std::vector<double>& values) {
  return fromDoubles({DType::f32, shape}, values);
}

HostTensor counting(const Shape& shape, double first = 0) {
  HostTensor t(TensorType{DType::f32, shape});
  for (size_t i = 0; i < t.as<float>().size(); ++i)
    t.as<float>()[i] = static_cast<float>(first + static_cast<double>(i));
  return t;
}

void addWeight(OnnxFile& file, const std::string& name, const HostTensor& value) {
  file.graph().add_initializer()->ParseFromString(tensorProtoToBytes(value, name));
}

std::vector<HostTensor> predict(const OnnxFile& file, std::map<std::string, HostTensor> values,
                                const ScratchFolder& folder = ScratchFolder()) {
  const OnnxFileReader reader(folder.write("model.onnx", file.bytes()));
  return OnnxEvaluator(reader, 1).run(std::move(values));
}

template <class F>
std::string failure(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(OnnxEvaluatorTest, LongWeightsAreReadWhereTheyLie) {
  OnnxFile file;
  file.input("x", {1, 3000}).output("y").output("z");
  const HostTensor w = counting({3000});
  addWeight(file, "raw", w);
  file.weight("typed", {3000});
  auto* typed = file.graph().mutable_initializer(1);
  for (float v : w.as<float>()) typed->add_float_data(v);
  file.weight("ints", {3000}, 7);
  auto* ints = file.graph().mutable_initializer(2);
  for (int i = 0; i < 3000; ++i) ints->add_int64_data(i % 2 ? -i : i);
  file.node("Add", {"x", "raw"}, {"s"}).node("Sub", {"s", "typed"}, {"y"});
  file.node("Gather", {"raw", "ints"}, {"z"});
  const auto results = predict(file, {{"x", counting({1, 3000}, 5)}});
  EXPECT_EQ(differenceOf(results[0], counting({1, 3000}, 5)), "");
  EXPECT_EQ(results[1].as<float>()[10], 10);
  EXPECT_EQ(results[1].as<float>()[11], 2989);
}

TEST(OnnxEvaluatorTest, ExternalDataComesFromTheFolderOfTheModel) {
  const ScratchFolder folder;
  const HostTensor w = counting({4000});
  std::string data(64, 'x');
  data.append(reinterpret_cast<const char*>(w.bytes().data()), w.bytes().size());
  folder.write("weights.bin", data);
  OnnxFile file;
  file.input("x", {1}).output("y").weight("w", {4000}).node("Add", {"x", "w"}, {"y"});
  auto* tensor = file.graph().mutable_initializer(0);
  tensor->set_data_location(1);
  for (const auto& [key, value] : {std::pair{"location", "weights.bin"}, {"offset", "64"}}) {
    auto* entry = tensor->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  EXPECT_EQ(differenceOf(predict(file, {{"x", floats({1}, {1})}}, folder)[0], counting({4000}, 1)),
            "");
  folder.write("weights.bin", data.substr(0, 1000));
  EXPECT_THAT(failure([&] {
                predict(file, {{"x", floats({1}, {1})}}, folder);
              }),
              HasSubstr("tensor w: the external data ends"));
}

TEST(OnnxEvaluatorTest, EarlyOpsetsBroadcastAlongTheirAxis) {
  OnnxFile file(6);
  file.input("a", {2, 3, 2}).input("b", {3}).output("y").node("Add", {"a", "b"}, {"y"});
  file.attr("broadcast", int64_t{1}).attr("axis", int64_t{1});
  const auto results =
      predict(file, {{"a", counting({2, 3, 2})}, {"b", floats({3}, {10, 20, 30})}});
  EXPECT_THAT(toDoubles(results[0]), ElementsAre(10, 11, 22, 23, 34, 35, 16, 17, 28, 29, 40, 41));
}

TEST(OnnxEvaluatorTest, ShapesAreComputedFromTheInputsAtHand) {
  OnnxFile file;
  file.input("x", {"n", 4}).output("y").ints("tail", {2, 2}).ints("zero", {0}).ints("one", {1});
  file.node("Shape", {"x"}, {"s"}).node("Slice", {"s", "zero", "one"}, {"n"});
  file.node("Concat", {"n", "tail"}, {"to"}).attr("axis", int64_t{0});
  file.node("Reshape", {"x", "to"}, {"y"});
  EXPECT_EQ(predict(file, {{"x", counting({5, 4})}})[0].shape(), (Shape{5, 2, 2}));
  EXPECT_EQ(predict(file, {{"x", counting({7, 4})}})[0].shape(), (Shape{7, 2, 2}));
}

TEST(OnnxEvaluatorTest, BatchNormalizationUsesItsRunningStatistics) {
  OnnxFile file;
  file.input("x", {1, 2, 1}).output("y");
  addWeight(file, "scale", floats({2}, {2, 3}));
  addWeight(file, "bias", floats({2}, {1, -1}));
  addWeight(file, "mean", floats({2}, {5, 6}));
  addWeight(file, "var", floats({2}, {4, 9}));
  file.node("BatchNormalization", {"x", "scale", "bias", "mean", "var"}, {"y"});
  file.attr("epsilon", 0.0);
  EXPECT_THAT(toDoubles(predict(file, {{"x", floats({1, 2, 1}, {7, 9})}})[0]), ElementsAre(3, 2));
}

onnx::GraphProto oneNode(const std::string& op, const OnnxFile::Names& in, const std::string& out) {
  OnnxFile graph;
  graph.output(out).node(op, in, {out});
  return graph.graph();
}

TEST(OnnxEvaluatorTest, IfRunsTheBranchOfItsCondition) {
  OnnxFile file;
  file.input("c", {}, 9).input("x", {2}).output("y").node("If", {"c"}, {"y"});
  file.attr("then_branch", oneNode("Neg", {"x"}, "t"));
  file.attr("else_branch", oneNode("Abs", {"x"}, "e"));
  for (const bool condition : {true, false}) {
    const double c = condition;
    const auto y = predict(file, {{"c", fromDoubles({DType::boolean, {}}, std::span(&c, 1))},
                                  {"x", floats({2}, {-1, 2})}});
    EXPECT_THAT(toDoubles(y[0]), ElementsAre(1, condition ? -2 : 2));
  }
}

TEST(OnnxEvaluatorTest, LoopCarriesStateAndStacksWhatItYields) {
  OnnxFile body;
  body.input("i", {}, 7).input("goes", {}, 9).input("sum", {2});
  body.output("go").output("next").output("row");
  body.node("Add", {"sum", "step"}, {"next"}).node("Identity", {"goes"}, {"go"});
  body.node("Identity", {"next"}, {"row"});
  OnnxFile file;
  file.input("step", {2}).ints("three", {3}).output("last").output("rows");
  addWeight(file, "zero", floats({2}, {0, 0}));
  file.node("Loop", {"three", "", "zero"}, {"last", "rows"}).attr("body", body.graph());
  const auto results = predict(file, {{"step", floats({2}, {1, 10})}});
  EXPECT_THAT(toDoubles(results[0]), ElementsAre(3, 30));
  EXPECT_EQ(results[1].shape(), (Shape{3, 2}));
  EXPECT_THAT(toDoubles(results[1]), ElementsAre(1, 10, 2, 20, 3, 30));
}

TEST(OnnxEvaluatorTest, ScanWalksItsInputBackwardsWhenAsked) {
  OnnxFile body;
  body.input("sum", {2}).input("x", {2}).output("next").output("row");
  body.node("Add", {"sum", "x"}, {"next"}).node("Identity", {"next"}, {"row"});
  OnnxFile file;
  file.input("xs", {2, 3}).output("last").output("rows");
  addWeight(file, "zero", floats({2}, {0, 0}));
  file.node("Scan", {"zero", "xs"}, {"last", "rows"}).attr("body", body.graph());
  file.attr("num_scan_inputs", int64_t{1}).attr("scan_input_axes", std::vector<int64_t>{1});
  file.attr("scan_input_directions", std::vector<int64_t>{1});
  const auto results = predict(file, {{"xs", counting({2, 3})}});
  EXPECT_THAT(toDoubles(results[0]), ElementsAre(3, 12));
  EXPECT_THAT(toDoubles(results[1]), ElementsAre(2, 5, 3, 9, 3, 12));
}

TEST(OnnxEvaluatorTest, FunctionsSeeTheAttributesOfTheirCall) {
  OnnxFile file;
  file.input("x", {2}).output("y").node("Leaky", {"x"}, {"y"}, "call", "own");
  file.attr("slope", 0.5);
  auto* function = file.model.add_functions();
  function->set_name("Leaky");
  function->set_domain("own");
  function->add_input("a");
  function->add_output("b");
  function->add_attribute("slope");
  auto* node = function->add_node();
  node->set_op_type("LeakyRelu");
  node->add_input("a");
  node->add_output("b");
  auto* attribute = node->add_attribute();
  attribute->set_name("alpha");
  attribute->set_ref_attr_name("slope");
  EXPECT_THAT(toDoubles(predict(file, {{"x", floats({2}, {-4, 3})}})[0]), ElementsAre(-2, 3));
}

TEST(OnnxEvaluatorTest, RefusesInputsThatDoNotFit) {
  OnnxFile file;
  file.input("a", {"n", 2}).input("b", {"n"}).output("y").node("Abs", {"a"}, {"y"});
  const auto run = [&](HostTensor a, HostTensor b) {
    return failure([&] { predict(file, {{"a", std::move(a)}, {"b", std::move(b)}}); });
  };
  EXPECT_EQ(run(counting({3, 2}), counting({3})), "no error");
  EXPECT_THAT(run(counting({3, 3}), counting({3})), HasSubstr("dimension 1 must be 2"));
  EXPECT_THAT(run(counting({3, 2}), counting({4})), HasSubstr("input b: has the shape [4]"));
  EXPECT_THAT(run(counting({3}), counting({3})), HasSubstr("takes 2 dimensions"));
  EXPECT_THAT(run(HostTensor(TensorType{DType::f64, {3, 2}}), counting({3})),
              HasSubstr("is fp64 where the model takes fp32"));
  EXPECT_THAT(failure([&] {
                predict(file, {{"a", counting({3, 2})}});
              }),
              HasSubstr("has no value"));
}

TEST(OnnxEvaluatorTest, NodesThatCannotBeEvaluatedAreNamed) {
  OnnxFile file;
  file.input("x", {2}).output("y").node("Unheard", {"x"}, {"y"}, "n1");
  try {
    predict(file, {{"x", floats({2}, {1, 2})}});
    FAIL();
  } catch (const UnsupportedNode& e) {
    EXPECT_TRUE(e.unknownType());
    EXPECT_THAT(e.what(), HasSubstr("node n1: Unheard: the operator is not known"));
  }
}

/// A linear layer stored [n,k] and transposed in the file, a bias, and a reshaped scale.
TEST(OnnxWeightsTest, ParametersGetTheValuesThatTheFileComputes) {
  OnnxFile file;
  file.input("x", {4, 3}).output("y").ints("flat", {2});
  addWeight(file, "w", counting({2, 3}));
  addWeight(file, "bias", floats({1, 2}, {7, 8}));
  file.node("Transpose", {"w"}, {"wt"}).attr("perm", std::vector<int64_t>{1, 0});
  file.node("Reshape", {"bias", "flat"}, {"b"});
  file.node("MatMul", {"x", "wt"}, {"h"}).node("Add", {"h", "b"}, {"y"});
  const ScratchFolder folder;
  ModelRequest request;
  request.source = folder.write("model.onnx", file.bytes());
  const Model model = importOnnx(request);
  const auto weights = readOnnxWeights(model.source, model.graph, model.origins, true, 1).values;
  int parameters = 0;
  for (const Tensor& t : model.graph.tensors()) {
    if (t.kind != TensorKind::parameter) continue;
    ++parameters;
    const HostTensor& value = weights.at(t.name);
    EXPECT_EQ(value.type(), t.type);
    if (t.type.shape == Shape{3, 2})
      EXPECT_THAT(toDoubles(value), ElementsAre(0, 3, 1, 4, 2, 5));
    else if (t.type.shape == Shape{2, 3})
      EXPECT_THAT(toDoubles(value), ElementsAre(0, 1, 2, 3, 4, 5));
    else
      EXPECT_THAT(toDoubles(value), ElementsAre(7, 8));
  }
  EXPECT_EQ(parameters, 2);
}

TEST(OnnxWeightsTest, JoinedPartsComeInTheOrderOfTheFile) {
  OnnxFile file;
  file.input("x", {1, 2})
      .output("y")
      .ints("a", {0})
      .ints("b", {2})
      .ints("c", {4})
      .ints("rows", {0});
  addWeight(file, "w", counting({4, 2}));
  file.node("Slice", {"w", "a", "b", "rows"}, {"first"});
  file.node("Slice", {"w", "b", "c", "rows"}, {"second"});
  file.node("Concat", {"second", "first"}, {"swapped"}).attr("axis", int64_t{0});
  file.node("Gemm", {"x", "swapped"}, {"y"}).attr("transB", int64_t{1});
  const ScratchFolder folder;
  ModelRequest request;
  request.source = folder.write("model.onnx", file.bytes());
  const Model model = importOnnx(request);
  bool found = false;
  const auto weights = readOnnxWeights(model.source, model.graph, model.origins, true, 1);
  EXPECT_THAT(weights.missing, IsEmpty());
  for (const auto& [name, value] : weights.values) {
    if (value.type() != TensorType{DType::f32, {4, 2}}) continue;
    found = true;
    EXPECT_THAT(toDoubles(value), ElementsAre(4, 5, 6, 7, 0, 1, 2, 3));
  }
  EXPECT_TRUE(found);
}

/// Writes a case whose model negates its input.
std::string writeCase(const ScratchFolder& folder, const std::string& name, const std::string& op,
                      double expected) {
  OnnxFile file;
  file.input("x", {1}).output("y").node(op, {"x"}, {"y"});
  folder.write(name + "/model.onnx", file.bytes());
  folder.write(name + "/test_data_set_0/input_0.pb", tensorProtoToBytes(floats({1}, {2}), "x"));
  folder.write(name + "/test_data_set_0/output_0.pb",
               tensorProtoToBytes(floats({1}, {expected}), "y"));
  return folder.file(name);
}

TEST(OnnxCasesTest, SayWhatPassedAndWhatDidNot) {
  const ScratchFolder folder;
  const std::string good = writeCase(folder, "good", "Neg", -2.001),
                    bad = writeCase(folder, "bad", "Neg", -2.01),
                    unknown = writeCase(folder, "unknown", "Unheard", 0);
  EXPECT_THAT(findOnnxCases(folder.file("")), ElementsAre(bad, good, unknown));
  EXPECT_EQ(runOnnxCase(good, 1).outcome, OnnxCaseResult::passed);
  const OnnxCaseResult wrong = runOnnxCase(bad, 1), foreign = runOnnxCase(unknown, 1);
  EXPECT_EQ(wrong.outcome, OnnxCaseResult::failed);
  EXPECT_EQ(wrong.op, "Neg");
  EXPECT_THAT(wrong.reason, HasSubstr("output y: element 0 is -2 instead of -2.0"));
  EXPECT_EQ(foreign.outcome, OnnxCaseResult::unsupported);
  EXPECT_FALSE(foreign.known);
  EXPECT_THROW(findOnnxCases(folder.file("none")), Error);
}

TEST(OnnxCasesTest, ComparesAsOnnxDoes) {
  const auto compare = [](double a, double b) {
    return differenceOf(floats({1}, {a}), floats({1}, {b})).empty();
  };
  EXPECT_TRUE(compare(NAN, NAN));
  EXPECT_FALSE(compare(NAN, 0));
  EXPECT_TRUE(compare(INFINITY, INFINITY));
  EXPECT_FALSE(compare(INFINITY, -INFINITY));
  EXPECT_FALSE(compare(1e30, INFINITY));
  EXPECT_TRUE(compare(1e-8, 0));
  EXPECT_FALSE(compare(1e-6, 0));
  HostTensor a(TensorType{DType::i32, {1}}), b = a;
  b.as<int32_t>()[0] = 1;
  EXPECT_EQ(differenceOf(a, b), "values differ");
  EXPECT_THAT(differenceOf(a, HostTensor(TensorType{DType::i64, {1}})), HasSubstr("int32[1]"));
}

}  // namespace
}  // namespace meshplan
