// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "planner/search/evaluate.h"

namespace meshplan {

/// Spans on the critical path of a step that do the same kind of work, and waiting between them.
struct CriticalWork {
  std::string name;  // "backward of Linear", "all-reduce over tensor", "send"
  int64_t count = 0;
  Seconds time;
  double share = 0;  // of the step
};

/// Longest first. Needs a timeline with recorded spans.
std::vector<CriticalWork> criticalWork(const Simulated& simulated, const Graph& graph);
std::string criticalWorkText(const std::vector<CriticalWork>& work);

}  // namespace meshplan
