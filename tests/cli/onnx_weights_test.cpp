// SPDX-License-Identifier: Apache-2.0
// meshplan run on an ONNX model starts from the weights that the file holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "backend/npy.h"
#include "backend/tensor_proto.h"
#include "tests/onnx_builder.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

constexpr int64_t kSamples = 8, kIn = 6, kHidden = 8, kClasses = 4;

HostTensor waves(const Shape& shape, double frequency) {
  std::vector<double> values(static_cast<size_t>(elementCount(shape)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(frequency * static_cast<double>(i + 1));
  return fromDoubles({DType::f32, shape}, values);
}

void addWeight(OnnxFile& file, const std::string& name, const HostTensor& value) {
  file.graph().add_initializer()->ParseFromString(tensorProtoToBytes(value, name));
}

/// Two layers: one weight stored as it is multiplied, one stored [out,in] and transposed in the
/// file, a bias that is reshaped, a normalisation, and a constant that is no weight.
OnnxFile classifier(bool withValues = true) {
  OnnxFile file;
  file.input("x", {"n", kIn}).output("y").ints("flat", {kHidden});
  if (withValues)
    addWeight(file, "first", waves({kIn, kHidden}, 0.7));
  else
    file.weight("first", {kIn, kHidden});
  addWeight(file, "bias", waves({1, kHidden}, 0.3));
  addWeight(file, "gamma", waves({kHidden}, 1.1));
  addWeight(file, "second", waves({kClasses, kHidden}, 0.9));
  file.node("MatMul", {"x", "first"}, {"h"}).node("Reshape", {"bias", "flat"}, {"b"});
  file.node("Add", {"h", "b"}, {"z"}).node("LayerNormalization", {"z", "gamma"}, {"n"});
  file.node("Constant", {}, {"shift"});
  auto* shift = file.last().add_attribute();
  shift->set_name("value");
  shift->set_type(4);
  shift->mutable_t()->ParseFromString(tensorProtoToBytes(waves({kHidden}, 2), ""));
  file.node("Sub", {"n", "shift"}, {"m"}).node("Relu", {"m"}, {"r"});
  file.node("Transpose", {"second"}, {"s"}).attr("perm", std::vector<int64_t>{1, 0});
  file.node("MatMul", {"r", "s"}, {"y"});
  return file;
}

double crossEntropy(const HostTensor& logits, const std::vector<double>& labels) {
  const std::vector<double> values = toDoubles(logits);
  double loss = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    double sum = 0;
    for (size_t k = 0; k < kClasses; ++k) sum += std::exp(values[i * kClasses + k]);
    loss += std::log(sum) - values[i * kClasses + static_cast<size_t>(labels[i])];
  }
  return loss / static_cast<double>(labels.size());
}

class RunFromOnnx : public testing::Test {
 protected:
  RunFromOnnx() {
    writeNpy(folder_.file("x.npy"), waves({kSamples, kIn}, 0.5));
    writeNpy(folder_.file("labels.npy"), fromDoubles({DType::i64, {kSamples}}, labels_));
    folder_.write("model.onnx", classifier().bytes());
  }

  CommandResult run(const std::string& model, const std::string& more) const {
    return runMeshplan(
        "run " + folder_.file(model) + " --dim n=8 --steps 1 --format json -b 8 --data npy:x=" +
        folder_.file("x.npy") + ",labels=" + folder_.file("labels.npy") + " " + more);
  }

  double lossOf(const std::string& more) const {
    const CommandResult r = run("model.onnx", more);
    EXPECT_EQ(r.exitCode, 0) << r.err;
    return nlohmann::json::parse(r.out).at("steps").at(0).at("loss");
  }

  ScratchFolder folder_;
  std::vector<double> labels_{0, 1, 2, 3, 3, 2, 1, 0};
};

TEST_F(RunFromOnnx, TheFirstLossIsThatOfThePrediction) {
  const CommandResult r = runMeshplan("predict " + folder_.file("model.onnx") + " --input " +
                                      folder_.file("x.npy") + " --output " + folder_.file("y.npy"));
  ASSERT_EQ(r.exitCode, 0) << r.err;
  const double expected = crossEntropy(readNpy(folder_.file("y.npy")), labels_);
  for (const char* plan : {"--ranks 1", "--ranks 2 --strategy dp=2", "--ranks 2 --strategy tp=2",
                           "--ranks 2 --strategy pp=2"})
    EXPECT_NEAR(lossOf(plan), expected, 2e-6) << plan;
  EXPECT_NEAR(lossOf("--precision fp64"), expected, 2e-6);
}

TEST_F(RunFromOnnx, RandomWeightsAreAskedFor) {
  const double own = lossOf("");
  const double first = lossOf("--weights random --seed 1");
  EXPECT_GT(std::abs(first - own), 1e-3);
  EXPECT_GT(std::abs(first - lossOf("--weights random --seed 2")), 1e-4);
}

TEST_F(RunFromOnnx, WeightsWithoutValuesStartAtRandom) {
  folder_.write("bare.onnx", classifier(false).bytes());
  const CommandResult r = run("bare.onnx", "");
  EXPECT_EQ(r.exitCode, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("no values for 1 of its parameters"));
  EXPECT_THAT(r.err, HasSubstr("first"));
}

}  // namespace
}  // namespace meshplan
