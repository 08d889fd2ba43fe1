// SPDX-License-Identifier: Apache-2.0
#include "backend/recorded_training.h"

namespace meshplan {
namespace {

/// Whether rank 0 wants another step after these.
bool goOn(const std::vector<double>& seconds, const RecordingTime& time) {
  const auto done = static_cast<int64_t>(seconds.size()) - time.warmUp;
  if (done < time.fewest) return true;
  double sum = 0;
  for (double s : seconds) sum += s;
  return done < time.enough && sum < time.seconds;
}

}  // namespace

RecordedTraining recordTraining(const TrainingTask& task, const TrainingSettings& settings,
                                RankBackend& backend, const RecordingTime& time,
                                const std::function<bool()>& stop) {
  RecordedTraining recorded;
  const auto ranks = static_cast<int>(task.program.mesh.ranks());
  recorded.ranks.resize(static_cast<size_t>(ranks));
  const auto epoch = StepRecorder::Clock::now();
  backend.runThreads(ranks, [&](Communicator& world) {
    const int rank = world.rank();
    const auto stage = static_cast<int>(task.program.mesh.coordinates(rank).back());
    RankParts parts = backend.open(world);
    const auto recorder = backend.recorder(
        parts, {task.program, task.graph, stage, epoch, static_cast<size_t>(time.enough)});
    TrainingSettings own = settings;
    own.steps = time.warmUp + time.enough;
    own.profiler = recorder.get();
    int64_t done = 0;
    trainRank(task, own, parts, world, [&](const StepReport& report) {
      ++done;
      if (rank != 0) return true;
      recorded.seconds.push_back(report.seconds);
      return goOn(recorded.seconds, time) && !(stop && stop());
    });
    RankSteps& mine = recorded.ranks[static_cast<size_t>(rank)];
    mine.rank = rank;
    const auto kept = std::min<int64_t>(std::max<int64_t>(0, done - time.warmUp), time.enough);
    mine.steps.assign(recorder->steps().end() - kept, recorder->steps().end());
  });
  const auto warmUp = std::min<int64_t>(time.warmUp, static_cast<int64_t>(recorded.seconds.size()));
  recorded.seconds.erase(recorded.seconds.begin(), recorded.seconds.begin() + warmUp);
  return recorded;
}

}  // namespace meshplan
