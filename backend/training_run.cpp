// SPDX-License-Identifier: Apache-2.0
#include "backend/training_run.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>

#include "backend/checkpoint.h"
#include "backend/constant_inputs.h"
#include "backend/initial_values.h"
#include "backend/parameter_values.h"
#include "backend/plan_agreement.h"
#include "backend/training_data.h"
#include "core/error.h"

namespace meshplan {
namespace {

using Clock = std::chrono::steady_clock;

const HostTensor* find(const TrainingSettings& settings, const std::string& name) {
  if (!settings.modelValues) return nullptr;
  const auto found = settings.modelValues->find(name);
  return found == settings.modelValues->end() ? nullptr : &found->second;
}

/// Steps done before this run.
CheckpointInfo start(Executor& executor, const TrainingTask& task,
                     const TrainingSettings& settings) {
  if (!settings.resume.empty()) return loadCheckpoint(executor, settings.resume, task.fingerprint);
  if (!settings.weights.empty())
    loadWeights(executor, settings.weights);
  else
    setParameters(executor, [&](TensorId parameter) {
      const HostTensor* own = find(settings, task.graph.tensor(parameter).name);
      return own ? *own : initialValues(task.graph, parameter, settings.seed);
    });
  return {0, settings.seed, task.fingerprint};
}

bool agreedToGoOn(Communicator& world, bool own) {
  double stop = world.rank() == 0 && !own ? 1 : 0;
  world.broadcast(&stop, sizeof stop, 0);
  return stop == 0;
}

void checkLoss(double loss, int64_t step) {
  if (!std::isfinite(loss))
    throw Error(ErrorKind::runtime, fmt::format("the loss of step {} is {}", step, loss),
                "lower the learning rate, or resume from an earlier checkpoint");
}

bool save(Executor& executor, const TrainingSettings& settings, const CheckpointInfo& info) {
  const std::optional<Error> error = saveCheckpoint(executor, settings.checkpoint, info);
  if (error && settings.notSaved && executor.groups().world().rank() == 0)
    settings.notSaved(info.step, *error);
  return !error;
}

/// There is no later chance.
void saveLast(Executor& executor, const TrainingSettings& settings, const CheckpointInfo& info) {
  if (auto error = saveCheckpoint(executor, settings.checkpoint, info))
    throw error->at(fmt::format("step {}", info.step));
}

}  // namespace

void trainRank(const TrainingTask& task, const TrainingSettings& settings, RankDevice& device,
               Communicator& world, const std::function<bool(const StepReport&)>& report) {
  checkAgreement(world, programHash(task.graph, task.program));
  Executor executor(task.graph, task.program, device, world);
  CheckpointInfo info = start(executor, task, settings);
  TrainingData data(settings.data, task.graph, task.referenceBatch, task.globalBatch, info.seed);
  const ConstantInputs constants(
      task.graph,
      settings.modelValues ? *settings.modelValues : std::map<std::string, HostTensor>(),
      task.referenceBatch, task.globalBatch);
  Executor::Options options{settings.optimizer, info.seed, settings.profiler};

  const int64_t last = info.step + settings.steps;
  bool saved = false;
  for (bool goOn = true; goOn && info.step < last;) {
    const StepInputs inputs = constants.with(data.batch(info.step));
    options.optimizer.step = ++info.step;
    const auto begin = Clock::now();
    const double loss = executor.step(inputs, options);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    checkLoss(loss, info.step);
    goOn = agreedToGoOn(world, report({info.step, loss, seconds, executor.memory().used()}));
    saved = !settings.checkpoint.empty() && settings.checkpointEvery > 0 &&
            info.step % settings.checkpointEvery == 0 && save(executor, settings, info);
  }
  if (!settings.checkpoint.empty() && !saved) saveLast(executor, settings, info);
}

}  // namespace meshplan
