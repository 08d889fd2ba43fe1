// SPDX-License-Identifier: Apache-2.0
// What PyTorch computes with a small GPT-2 and a small ResNet (tests/backend/pytorch, made by
// make_fixtures.py there) is what plans compute: logits, loss, every gradient, ten optimizer steps.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/safetensors.h"
#include "core/import/load_model.h"
#include "tests/backend/plan_runner.h"

namespace meshplan {
namespace {

/// fp32 on both sides. Differences are relative to the largest element of each tensor.
constexpr double kOneStep = 5e-6;   // logits, loss and gradients
constexpr double kTenSteps = 2e-5;  // losses and weights

struct Subject {
  const char* name;
  const char* model;
  const char* logits;  // the operator that makes them
  OptimizerKind optimizer;
  double learningRate, weightDecay;
  std::vector<std::pair<int64_t, const char*>> plans;
};

const Subject kSubjects[] = {
    {"gpt2",
     "config.json",
     "lm_head",
     OptimizerKind::adamw,
     1e-3,
     0.01,
     {{1, "dp=1,mbs=4"},
      {2, "dp=2,mbs=1,zero=1"},
      {4, "dp=4,mbs=1,zero=3"},
      {2, "tp=2,mbs=4"},
      {4, "tp=4,mbs=2,sp=on"},
      {2, "pp=2,mbs=1"},
      {4, "dp=2,tp=2,mbs=2,zero=2"},
      {4, "tp=2,pp=2,mbs=1,recompute=full"}}},
    {"resnet",
     "model.onnx",
     "/fc/Gemm",
     OptimizerKind::momentum,
     0.01,
     0,
     {{1, "dp=1,mbs=8"},
      {2, "tp=2,mbs=8"},
      {4, "tp=4,mbs=8"},
      {2, "pp=2,mbs=8"},
      {4, "tp=2,pp=2,mbs=8"},
      {4, "pp=4,mbs=8,recompute=full"}}},
};

std::string fixture(const Subject& subject, const std::string& file) {
  return fmt::format("{}/tests/backend/pytorch/{}/{}", MESHPLAN_SOURCE_DIR, subject.name, file);
}

std::map<std::string, HostTensor> tensorsOf(const Subject& subject, const std::string& name) {
  const SafetensorsFile file(fixture(subject, name + ".safetensors"));
  std::map<std::string, HostTensor> tensors;
  for (const NamedTensor& t : file.tensors())
    tensors.emplace(t.name, file.read(t.name, t.view.type));
  return tensors;
}

TrainingModel modelOf(const Subject& subject) {
  ModelRequest request;
  request.source = fixture(subject, subject.model);
  request.dims["batch"] = 8;
  TrainingOptions options;
  options.precision = Precision::fp32;
  options.optimizer = subject.optimizer;
  return prepareTraining(loadModel(request), options);
}

/// What PyTorch starts running statistics with; training uses those of the batch.
HostTensor runningStatistics(const Tensor& constant) {
  const double value = constant.name.find("running_var") != std::string::npos ? 1 : 0;
  const std::vector<double> values(static_cast<size_t>(constant.type.elements()), value);
  return fromDoubles(constant.type, values);
}

std::map<uint32_t, HostTensor> inputsOf(const TrainingModel& model,
                                        const std::map<std::string, HostTensor>& batch) {
  std::map<uint32_t, HostTensor> inputs;
  for (uint32_t t = 0; t < model.graph.tensorCount(); ++t) {
    const Tensor& tensor = model.graph.tensor(TensorId(t));
    if (tensor.kind == TensorKind::input) inputs.emplace(t, batch.at(tensor.name));
    if (tensor.kind == TensorKind::constant && tensor.name.find("running") != std::string::npos)
      inputs.emplace(t, runningStatistics(tensor));
  }
  return inputs;
}

/// The largest difference of two tensors of equal element count, relative to the first's largest.
double difference(const HostTensor& expected, const HostTensor& actual) {
  std::string where;
  HostTensor reshaped = actual;
  reshaped.reshape(expected.shape());
  return worstDifference({{"", expected}}, {{"", reshaped}}, &where);
}

/// Softmax does not change when all scores of a query grow alike, so a key's bias has no gradient
/// but rounding, which Adam scales up to steps of full size. Those elements are left out.
void clearKeyBiases(std::map<std::string, HostTensor>& tensors) {
  constexpr size_t kHeadDim = 8;
  for (auto& [name, tensor] : tensors) {
    if (name.find("c_attn.bias") == std::string::npos) continue;
    const auto values = tensor.as<float>();
    for (size_t i = 0; i < values.size(); ++i)
      if (i / kHeadDim % 3 == 1) values[i] = 0;
  }
}

double largestKeyBias(std::map<std::string, HostTensor> tensors) {
  auto cleared = tensors;
  clearKeyBiases(cleared);
  return worstDifference(tensors, cleared);
}

class PyTorch : public testing::TestWithParam<Subject> {};

TEST_P(PyTorch, ComputesWhatEveryPlanComputes) {
  const Subject& subject = GetParam();
  const TrainingModel model = modelOf(subject);
  const auto initial = tensorsOf(subject, "initial"), batch = tensorsOf(subject, "batch"),
             gradients = tensorsOf(subject, "gradients");
  auto final = tensorsOf(subject, "final");
  EXPECT_LT(largestKeyBias(gradients), 1e-6);
  clearKeyBiases(final);
  const std::vector<double> losses = toDoubles(batch.at("losses"));
  RunSettings settings;
  settings.steps = static_cast<int>(losses.size());
  settings.optimizer.learningRate = subject.learningRate;
  settings.optimizer.weightDecay = subject.weightDecay;
  settings.initial = [&](const Tensor& parameter) { return initial.at(parameter.name); };
  settings.watched = subject.logits;
  const int64_t samples = batch.at("labels").shape()[0];
  for (const auto& [ranks, strategy] : subject.plans) {
    SCOPED_TRACE(strategy);
    TrainingRun run =
        runPlan(model, planOf(model, samples, strategy, ranks), inputsOf(model, batch), settings);
    EXPECT_LT(largestKeyBias(run.gradients), 1e-6);
    clearKeyBiases(run.weights);
    std::string where, whereFinal;
    ASSERT_EQ(run.losses.size(), losses.size());
    double worstLoss = 0;
    for (size_t s = 0; s < losses.size(); ++s)
      worstLoss = std::max(worstLoss, std::abs(run.losses[s] / losses[s] - 1));
    const double gradient = worstDifference(gradients, run.gradients, &where);
    const double weight = worstDifference(final, run.weights, &whereFinal);
    EXPECT_EQ(run.gradients.size(), gradients.size());
    EXPECT_LT(std::abs(run.losses[0] / losses[0] - 1), kOneStep);
    EXPECT_LT(gradient, kOneStep) << where;
    EXPECT_LT(worstLoss, kTenSteps);
    EXPECT_LT(weight, kTenSteps) << whereFinal;
    fmt::print("{} {}: gradients {:.1e} ({}), losses {:.1e}, weights {:.1e} ({})\n", subject.name,
               strategy, gradient, where, worstLoss, weight, whereFinal);
    if (ranks > 1) continue;
    ASSERT_EQ(run.watched.elements(), batch.at("logits").elements());
    const double logits = difference(batch.at("logits"), run.watched);
    EXPECT_LT(logits, kOneStep);
    fmt::print("{} logits {:.1e}\n", subject.name, logits);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PyTorch, testing::ValuesIn(kSubjects),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace meshplan
