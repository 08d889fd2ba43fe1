// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/model.h"
#include "core/plan_shardings.h"

namespace meshplan {

/// A plan on disk with all that is needed to simulate it again: the model that was asked for, the
/// machine, and a fingerprint of the graph so that a changed model is noticed. `plan.strategies` is
/// empty in it; `shardings` say the same in names (docs/formats.md, "Plan").
struct PlanFile {
  Plan plan;
  ModelRequest model;
  std::string clusterJson;  // explicit form, core/cluster_json.h
  std::string graphFingerprint;
  std::optional<Bytes> memoryLimit;  // per device, where the user set one
  Seconds predictedStepTime;
  Bytes predictedPeakMemory;
  std::vector<BlockSharding> shardings;
};

std::string fingerprintText(uint64_t fingerprint);  // 16 hexadecimal digits

std::string planToJson(const PlanFile& file);
/// Throws Error(input) naming `file` and the place for anything but a plan of this schema version,
/// and for unknown keys with the nearest known one.
PlanFile planFromJson(const std::string& text, const std::string& file);

}  // namespace meshplan
