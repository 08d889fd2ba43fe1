// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/communicator.h"
#include "backend/step_record.h"

namespace meshplan {

/// A moment that all ranks agree on, by the clock of each: for StepRecorder, so that the times of
/// all ranks can be compared. Every rank calls it. Ranks of one host (one boot_id) share rank 0's
/// clock and are exact; those of other hosts take the end of a barrier, and are as far off as a
/// message takes.
StepRecorder::Clock::time_point commonEpoch(Communicator& world);

/// The steps of all ranks, in rank order, on rank 0; nothing on the others. Every rank calls it
/// with as many steps.
std::vector<RankSteps> gatherSteps(Communicator& world, RankSteps mine);

}  // namespace meshplan
