// SPDX-License-Identifier: Apache-2.0
#pragma once
// Models and strategies whose plans must have the loss and the gradients of one device.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/backend/plan_runner.h"

namespace meshplan {

struct EquivalenceSubject {
  const char* name;
  const char* text;
  int64_t referenceBatch;
  /// Statistics over a micro-batch (batch normalisation): the one device takes the same groups.
  bool sameGroups;
};

inline constexpr int64_t kEquivalenceBatch = 16;

std::span<const EquivalenceSubject> equivalenceSubjects();
TrainingModel prepared(const EquivalenceSubject& subject, Precision precision);

/// Every strategy of degrees 1, 2 and 4 on up to eight ranks, with its number of ranks, thinned out
/// evenly where schedules, recomputation and ZeRO would multiply. Some do not exist for a model:
/// `planOf` throws Error(usage).
std::vector<std::pair<int64_t, std::string>> strategiesOf(const EquivalenceSubject& subject);

/// The plan of one device to compare with.
Plan alone(const TrainingModel& model, const EquivalenceSubject& subject, const Plan& plan);

}  // namespace meshplan
