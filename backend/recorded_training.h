// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "backend/rank_backend.h"
#include "backend/step_record.h"
#include "backend/training_run.h"

namespace meshplan {

/// How long ranks train to be measured: until there are `enough` steps after the warm-up, or
/// `fewest` and the seconds are over.
struct RecordingTime {
  int64_t warmUp = 2, fewest = 3, enough = 12;
  double seconds = 2;
};

struct RecordedTraining {
  std::vector<RankSteps> ranks;  // without the warm-up
  std::vector<double> seconds;   // per step, on rank 0
};

/// Trains on threads of this process, one per rank of the mesh, on random data, and records every
/// step. `stop` is asked after each step whether to give up; what was recorded so far is returned.
RecordedTraining recordTraining(const TrainingTask& task, const TrainingSettings& settings,
                                RankBackend& backend, const RecordingTime& time,
                                const std::function<bool()>& stop = {});

}  // namespace meshplan
