// SPDX-License-Identifier: Apache-2.0
#include "planner/pipeline_schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "core/error.h"

namespace meshplan {
namespace {

void check(ScheduleKind kind, int64_t stage, int64_t stages, int64_t microBatches,
           int64_t virtualStages) {
  if (stages < 1 || stage < 0 || stage >= stages)
    throw Error(ErrorKind::usage, fmt::format("stage {} of {} does not exist", stage, stages));
  if (microBatches < 1)
    throw Error(ErrorKind::usage, "a step has no micro-batch",
                "raise the global batch or lower the micro-batch");
  if (virtualStages < 1)
    throw Error(ErrorKind::usage, "a stage needs at least one virtual stage", "use vpp=1");
  if (kind != ScheduleKind::interleaved && virtualStages != 1)
    throw Error(ErrorKind::usage,
                fmt::format("schedule {} has no virtual stages, vpp={} was asked for",
                            scheduleName(kind), virtualStages),
                "use vpp=1 or schedule=interleaved");
  if (kind == ScheduleKind::interleaved && microBatches % stages != 0)
    throw Error(ErrorKind::usage,
                fmt::format("the interleaved schedule needs micro-batches ({}) in multiples of "
                            "the pipeline stages ({})",
                            microBatches, stages),
                "change the global batch, the micro-batch or pp, or use schedule=1f1b");
}

// Micro-batches go in groups of `stages` through one virtual stage after the other, backwards in
// the opposite order.
ScheduleStep nthForward(int64_t n, int64_t stages, int64_t virtualStages) {
  const int64_t round = n / (stages * virtualStages), inRound = n % (stages * virtualStages);
  return {false, int32_t(round * stages + inRound % stages), int32_t(inRound / stages)};
}

ScheduleStep nthBackward(int64_t n, int64_t stages, int64_t virtualStages) {
  ScheduleStep step = nthForward(n, stages, virtualStages);
  return {true, step.microBatch, int32_t(virtualStages - 1 - step.chunk)};
}

int64_t warmUp(ScheduleKind kind, int64_t stage, int64_t stages, int64_t virtualStages) {
  if (kind == ScheduleKind::oneFOneB) return stages - stage - 1;
  return (stages - stage - 1) * 2 + (virtualStages - 1) * stages;
}

}  // namespace

std::vector<ScheduleStep> pipelineOrder(ScheduleKind kind, int64_t stage, int64_t stages,
                                        int64_t microBatches, int64_t virtualStages) {
  check(kind, stage, stages, microBatches, virtualStages);
  const int64_t total = microBatches * virtualStages;
  const int64_t ahead = kind == ScheduleKind::gpipe
                            ? total
                            : std::min(total, warmUp(kind, stage, stages, virtualStages));
  std::vector<ScheduleStep> order;
  order.reserve(size_t(2 * total));
  for (int64_t n = 0; n < ahead; ++n) order.push_back(nthForward(n, stages, virtualStages));
  for (int64_t n = ahead; n < total; ++n) {
    order.push_back(nthForward(n, stages, virtualStages));
    order.push_back(nthBackward(n - ahead, stages, virtualStages));
  }
  for (int64_t n = total - ahead; n < total; ++n)
    order.push_back(nthBackward(n, stages, virtualStages));
  return order;
}

std::vector<int64_t> inFlight(ScheduleKind kind, int64_t stage, int64_t stages,
                              int64_t microBatches, int64_t virtualStages) {
  std::vector<int64_t> live(size_t(std::max<int64_t>(virtualStages, 1))), peak(live);
  for (const ScheduleStep& step : pipelineOrder(kind, stage, stages, microBatches, virtualStages)) {
    int64_t& held = live[size_t(step.chunk)];
    held += step.backward ? -1 : 1;
    peak[size_t(step.chunk)] = std::max(peak[size_t(step.chunk)], held);
  }
  return peak;
}

std::vector<std::vector<int64_t>> fullestMoments(ScheduleKind kind, int64_t stage, int64_t stages,
                                                 int64_t microBatches, int64_t virtualStages) {
  std::vector<int64_t> live(size_t(std::max<int64_t>(virtualStages, 1)));
  std::set<std::vector<int64_t>> moments;
  for (const ScheduleStep& step : pipelineOrder(kind, stage, stages, microBatches, virtualStages)) {
    live[size_t(step.chunk)] += step.backward ? -1 : 1;
    if (!step.backward) moments.insert(live);
  }
  const auto exceeds = [](const auto& more, const auto& less) {
    for (size_t v = 0; v < less.size(); ++v)
      if (more[v] < less[v]) return false;
    return true;
  };
  std::vector<std::vector<int64_t>> fullest;
  for (auto moment = moments.rbegin(); moment != moments.rend(); ++moment)
    if (std::none_of(fullest.begin(), fullest.end(),
                     [&](const auto& other) { return exceeds(other, *moment); }))
      fullest.push_back(*moment);
  return fullest;
}

}  // namespace meshplan
