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

// What may be trained again to find out where NaN came from.
constexpr int64_t kRepeatedSteps = 20;
constexpr double kRepeatedSeconds = 60;

/// Since the start or the last checkpoint of this run.
struct Trained {
  bool saved = false;
  int64_t steps = 0;
  double seconds = 0;

  bool little() const { return steps <= kRepeatedSteps && seconds <= kRepeatedSeconds; }
};

const HostTensor* find(const TrainingSettings& settings, const std::string& name) {
  if (!settings.modelValues) return nullptr;
  const auto found = settings.modelValues->find(name);
  return found == settings.modelValues->end() ? nullptr : &found->second;
}

/// What gradients that overflow in fp16 hold is no fault.
StepReport runStep(Executor& executor, const StepInputs& inputs, const Executor::Options& options) {
  StepReport done;
  done.step = options.optimizer.step;
  const LossScale* scale = executor.lossScale();
  const int64_t skipped = scale ? scale->skippedSteps : 0;
  if (scale) done.lossScale = scale->scale;
  const auto begin = Clock::now();
  done.loss = executor.step(inputs, options);
  done.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  done.arena = executor.memory().used();
  done.skipped = scale && scale->skippedSteps > skipped;
  if (!options.numbers) return done;
  if (done.skipped && std::isfinite(done.loss)) options.numbers->forget();
  options.numbers->finishStep(done.step, done.loss);
  return done;
}

/// Steps done before this run.
CheckpointInfo start(Executor& executor, const TrainingTask& task,
                     const TrainingSettings& settings) {
  if (!settings.resume.empty()) return loadCheckpoint(executor, settings.resume, task.fingerprint);
  if (LossScale* scale = executor.lossScale()) *scale = {};
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
    throw Error(
        ErrorKind::runtime, fmt::format("the loss of step {} is {}", step, loss),
        "lower the learning rate, or resume from an earlier checkpoint; --check-numbers names "
        "the operator");
}

bool save(Executor& executor, const TrainingSettings& settings, const CheckpointInfo& info) {
  const std::optional<Error> error = saveCheckpoint(executor, settings.checkpoint, info);
  if (error && settings.notSaved && executor.groups().world().rank() == 0)
    settings.notSaved(info.step, *error);
  return !error;
}

/// Trains again up to the step whose loss is not finite, and looks at every number. Returns where
/// that would take long, or nothing was found.
void findOrigin(Executor& executor, const TrainingTask& task, TrainingSettings settings,
                const Trained& trained, TrainingData& data, const ConstantInputs& constants,
                NumberCheck& numbers, int64_t failed) {
  if (!agreedToGoOn(executor.groups().world(), trained.little())) return;
  if (trained.saved) settings.resume = settings.checkpoint;
  CheckpointInfo info = start(executor, task, settings);
  Executor::Options options{settings.optimizer, info.seed, nullptr, &numbers};
  while (info.step < failed) {
    const StepInputs inputs = constants.with(data.batch(info.step));
    options.optimizer.step = ++info.step;
    runStep(executor, inputs, options);
  }
}

/// There is no later chance.
void saveLast(Executor& executor, const TrainingSettings& settings, const CheckpointInfo& info) {
  if (auto error = saveCheckpoint(executor, settings.checkpoint, info))
    throw error->at(fmt::format("step {}", info.step));
}

void train(const TrainingTask& task, const TrainingSettings& settings, RankParts& parts,
           Communicator& world, const std::function<bool(const StepReport&)>& report) {
  checkAgreement(world, programHash(task.graph, task.program));
  Executor executor(task.graph, task.program, *parts.device, world,
                    parts.data ? *parts.data : world);
  CheckpointInfo info = start(executor, task, settings);
  TrainingData data(settings.data, task.graph, task.referenceBatch, task.globalBatch, info.seed);
  const ConstantInputs constants(
      task.graph,
      settings.modelValues ? *settings.modelValues : std::map<std::string, HostTensor>(),
      task.referenceBatch, task.globalBatch);
  NumberCheck numbers(task.graph, task.program, *parts.device, world);
  Executor::Options options{settings.optimizer, info.seed, nullptr,
                            settings.checkNumbers ? &numbers : nullptr};

  const int64_t first = info.step, last = first + settings.steps;
  bool saved = false;
  Trained trained;
  for (bool goOn = true; goOn && info.step < last;) {
    const StepInputs inputs = constants.with(data.batch(info.step));
    const int64_t nth = info.step - first - settings.recorded.first;
    options.profiler = nth >= 0 && nth < settings.recorded.count ? settings.profiler : nullptr;
    if (settings.profiler && nth == settings.recorded.count) settings.profiler->finish();
    options.optimizer.step = ++info.step;
    const StepReport done = runStep(executor, inputs, options);
    ++trained.steps;
    trained.seconds += done.seconds;
    if (!std::isfinite(done.loss))
      findOrigin(executor, task, settings, trained, data, constants, numbers, info.step);
    checkLoss(done.loss, info.step);
    goOn = agreedToGoOn(world, report(done));
    saved = !settings.checkpoint.empty() && settings.checkpointEvery > 0 &&
            info.step % settings.checkpointEvery == 0 && save(executor, settings, info);
    if (saved) trained = {true};
  }
  if (!settings.checkpoint.empty() && !saved) saveLast(executor, settings, info);
}

}  // namespace

void trainRank(const TrainingTask& task, const TrainingSettings& settings, RankParts& parts,
               Communicator& world, const std::function<bool(const StepReport&)>& report) {
  runTogether(parts, [&] { train(task, settings, parts, world, report); });
}

}  // namespace meshplan
