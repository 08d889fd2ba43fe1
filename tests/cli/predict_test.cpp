// SPDX-License-Identifier: Apache-2.0
// meshplan predict from files to files, and what it does with bad input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "backend/npy.h"
#include "backend/tensor_proto.h"
#include "tests/onnx_builder.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

HostTensor floats(const Shape& shape, const std::vector<double>& values) {
  return fromDoubles({DType::f32, shape}, values);
}

/// y = x w + b and s = sum of y over its features, for x[n,2].
OnnxFile layer() {
  OnnxFile file;
  file.input("x", {"n", 2}).output("y").output("s");
  const std::vector<std::pair<std::string, HostTensor>> weights{
      {"w", floats({2, 3}, {1, 2, 3, 4, 5, 6})}, {"b", floats({3}, {10, 20, 30})}};
  for (const auto& [name, value] : weights)
    file.graph().add_initializer()->ParseFromString(tensorProtoToBytes(value, name));
  file.ints("last", {-1}).node("MatMul", {"x", "w"}, {"h"}).node("Add", {"h", "b"}, {"y"});
  file.node("ReduceSum", {"y", "last"}, {"s"});
  return file;
}

class Predict : public testing::Test {
 protected:
  Predict() {
    model_ = folder_.write("layer.onnx", layer().bytes());
    input_ = folder_.file("x.npy");
    writeNpy(input_, floats({2, 2}, {1, 0, 1, 1}));
  }

  std::string path(const std::string& name) const { return folder_.file(name); }

  /// Refused with one error, nothing on stdout and not a file more than before.
  void expectRefused(const std::string& arguments, int exitCode, const std::string& message) const {
    const size_t entries = folder_.entries();
    const CommandResult r = runMeshplan("predict " + arguments);
    EXPECT_EQ(r.exitCode, exitCode) << arguments << "\n" << r.err;
    EXPECT_THAT(r.err, StartsWith("error: ")) << arguments;
    EXPECT_EQ(r.err.find("error: ", 1), std::string::npos) << r.err;
    EXPECT_THAT(r.err, HasSubstr(message)) << arguments;
    EXPECT_EQ(r.out, "") << arguments;
    EXPECT_EQ(folder_.entries(), entries) << arguments;
  }

  ScratchFolder folder_;
  std::string model_, input_;
};

TEST_F(Predict, WritesTheOutputInTheFormatOfItsName) {
  const CommandResult r =
      runMeshplan("predict " + model_ + " --input " + input_ + " --output " + path("y.npy"));
  ASSERT_EQ(r.exitCode, 0) << r.err;
  EXPECT_EQ(r.out + r.err, "");
  const HostTensor y = readNpy(path("y.npy"));
  EXPECT_EQ(y.type(), (TensorType{DType::f32, {2, 3}}));
  EXPECT_THAT(toDoubles(y), ElementsAre(11, 22, 33, 15, 27, 39));
  writeTensorProto(path("x.pb"), floats({1, 2}, {0, 2}), "x");
  ASSERT_EQ(runMeshplan("predict " + model_ + " --input x=" + path("x.pb") +
                        " --output s=" + path("s.pb") + " --output y=" + path("y.pb"))
                .exitCode,
            0);
  EXPECT_THAT(toDoubles(readTensorProto(path("y.pb"))), ElementsAre(18, 30, 42));
  EXPECT_THAT(toDoubles(readTensorProto(path("s.pb"))), ElementsAre(90));
}

TEST_F(Predict, DescribesTheOutputsWhenNoFileIsAskedFor) {
  const std::string arguments = "predict " + model_ + " --input " + input_;
  EXPECT_THAT(runMeshplan(arguments).out, HasSubstr("fp32[2,3]"));
  const json outputs = json::parse(runMeshplan(arguments + " --format json").out).at("outputs");
  EXPECT_EQ(outputs.at(0).at("name"), "y");
  EXPECT_EQ(outputs.at(0).at("mean"), 24.5);
  EXPECT_EQ(outputs.at(1).at("largest"), 81);
}

TEST_F(Predict, RefusesInputsThatDoNotFitTheModel) {
  const std::string run = model_ + " --output " + path("y.npy") + " --input ";
  writeNpy(path("wide.npy"), floats({2, 3}, {1, 2, 3, 4, 5, 6}));
  writeNpy(path("double.npy"), HostTensor(TensorType{DType::f64, {2, 2}}));
  folder_.write("cut.npy", npyToBytes(floats({2, 2}, {1, 2, 3, 4})).substr(0, 130));
  folder_.write("text.pb", "no tensor at all");
  expectRefused(run + path("wide.npy"), 3, "input x: has the shape [2,3] where dimension 1 must");
  expectRefused(run + path("double.npy"), 3, "input x: is fp64 where the model takes fp32");
  expectRefused(run + path("none.npy"), 3, "none.npy");
  expectRefused(run + path("cut.npy"), 3, "cut.npy");
  expectRefused(run + path("text.pb"), 3, "text.pb");
  expectRefused(run + input_ + " --dim n=3", 3, "dimension 0 must be 3");
}

TEST_F(Predict, RefusesWrongUsage) {
  const std::string in = " --input " + input_;
  expectRefused(in, 2, "no model is given");
  expectRefused(model_, 2, "x [n,2]");
  expectRefused(model_ + in + in, 2, "--input");
  expectRefused(model_ + " --input z=" + input_, 2, "the model has: x [n,2]");
  expectRefused(model_ + in + " --output z=" + path("y.npy"), 2, "the model has: y");
  expectRefused(model_ + in + " --output " + path("y.png"), 2, ".npy");
  expectRefused(model_ + in + " --output y=" + path("y.pb") + " --output s=" + path("y.pb"), 2,
                "two outputs");
}

TEST_F(Predict, RefusesModelsThatItCannotEvaluate) {
  OnnxFile unknown;
  unknown.input("x", {2, 2}).output("y").node("Unheard", {"x"}, {"y"}, "first");
  folder_.write("unknown.onnx", unknown.bytes());
  folder_.write("cut.onnx", layer().bytes().substr(0, 50));
  OnnxFile bare;
  bare.input("x", {2, 2}).output("y").weight("w", {2, 2}).node("MatMul", {"x", "w"}, {"y"});
  folder_.write("bare.onnx", bare.bytes());
  const std::string rest = " --input " + input_ + " --output " + path("y.npy");
  expectRefused(path("unknown.onnx") + rest, 3, "node first: Unheard: the operator is not known");
  expectRefused(path("cut.onnx") + rest, 3, "cut.onnx");
  expectRefused(path("none.onnx") + rest, 3, "none.onnx");
  expectRefused(path("bare.onnx") + rest, 3, "tensor w");
}

TEST_F(Predict, LeavesAnOldOutputAloneWhenItFails) {
  folder_.write("y.npy", "old");
  writeNpy(path("wide.npy"), floats({2, 3}, {1, 2, 3, 4, 5, 6}));
  expectRefused(model_ + " --input " + path("wide.npy") + " --output " + path("y.npy"), 3, "shape");
  EXPECT_EQ(std::filesystem::file_size(path("y.npy")), 3u);
  expectRefused(model_ + " --input " + input_ + " --output " + path("nowhere/y.npy"), 5, "y.npy");
}

TEST_F(Predict, HelpShowsExamples) {
  const CommandResult r = runMeshplan("predict --help");
  EXPECT_EQ(r.exitCode, 0);
  for (const char* text : {"meshplan predict model.onnx --input", "--output", "--dim", "--cases"})
    EXPECT_THAT(r.out, HasSubstr(text));
}

/// One operator on the values 2 and -3, as ONNX writes a conformance case.
void writeCase(const ScratchFolder& folder, const std::string& name, const std::string& op,
               const std::vector<double>& expected) {
  OnnxFile file;
  file.input("x", {2}).output("y").node(op, {"x"}, {"y"});
  folder.write(name + "/model.onnx", file.bytes());
  const std::string set = name + "/test_data_set_0/";
  folder.write(set + "input_0.pb", tensorProtoToBytes(floats({2}, {2, -3}), "x"));
  folder.write(set + "output_0.pb", tensorProtoToBytes(floats({2}, expected), "y"));
}

TEST(Conformance, CasesAreCountedAndExplained) {
  const ScratchFolder folder;
  writeCase(folder, "node/test_neg", "Neg", {-2, 3});
  writeCase(folder, "node/test_relu", "Relu", {2, 0});
  writeCase(folder, "node/test_unheard", "Unheard", {0, 0});
  const CommandResult good = runMeshplan("predict --cases " + folder.file("node"));
  EXPECT_EQ(good.exitCode, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("3 cases: 2 passed, 0 failed, 1 unsupported"));
  EXPECT_THAT(good.out, HasSubstr("100.0 % passed of the 2 whose operators are known"));
  EXPECT_THAT(good.out, HasSubstr("Unheard: the operator is not known"));
  writeCase(folder, "node/test_abs", "Abs", {2, 4});
  const CommandResult bad = runMeshplan("predict --format json --cases " + folder.file(""));
  EXPECT_EQ(bad.exitCode, 5);
  const json first = json::parse(bad.out).at("cases").at(0);
  EXPECT_EQ(first.at("operator"), "Abs");
  EXPECT_EQ(first.at("outcome"), "failed");
  EXPECT_EQ(first.at("reason"), "output y: element 1 is 3 instead of 4");
}

}  // namespace
}  // namespace meshplan
