// SPDX-License-Identifier: Apache-2.0
#include "core/plan.h"

#include <fmt/core.h>

namespace meshplan {

std::string_view scheduleName(ScheduleKind k) {
  switch (k) {
    case ScheduleKind::gpipe:
      return "gpipe";
    case ScheduleKind::oneFOneB:
      return "1f1b";
    case ScheduleKind::interleaved:
      return "interleaved";
  }
  return "1f1b";
}

std::string_view recomputeName(Recompute r) {
  switch (r) {
    case Recompute::none:
      return "none";
    case Recompute::selective:
      return "selective";
    case Recompute::full:
      return "full";
  }
  return "none";
}

std::string strategyText(const Plan& plan, bool sequenceParallel) {
  return fmt::format("dp={},tp={},pp={},ep={},vpp={},mbs={},zero={},sp={},schedule={},recompute={}",
                     plan.mesh.replicas(), plan.mesh.tensor, plan.mesh.pipeline, plan.mesh.expert,
                     plan.virtualStages, plan.microBatch, plan.zeroStage,
                     sequenceParallel ? "on" : "off", scheduleName(plan.schedule),
                     recomputeName(plan.recompute));
}

}  // namespace meshplan
