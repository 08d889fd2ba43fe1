// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gui/models/compared_step.h"
#include "gui/palette.h"

namespace meshplan::gui {

/// What one of two steps has of a row. Seconds of the step on the average of the ranks that are
/// looked at, each moment counted once: `time` is what the step waits for, so that of a collective
/// or transfer only what is not hidden beside computation, shared evenly between those that run at
/// once.
struct DifferencePart {
  bool present = false;
  Seconds time, hidden;
  Seconds onRunners;  // both, on the average of the ranks that run it
  int64_t runs = 0;   // on one rank of each rank class
  int64_t ranks = 0;  // that run it
  EvidenceSum evidence;
};

/// One operator in one phase, one collective, or the transfers; with folding, all whose names
/// differ in layer numbers only. Of kind bubble: the time in which nothing runs.
struct DifferenceRow {
  std::string name, phase;
  SpanKind kind = SpanKind::forward;
  std::vector<OpId> operators;  // forward operators of the first step's model, sorted
  DifferencePart first, second;
  double share = 0;  // of the sum of all rows' |difference|

  Seconds difference() const { return second.time - first.time; }
};

/// Adds up to `step`.
struct StepParts {
  Seconds compute, optimizer, exposed, idle;
  Seconds beyond;  // below 0: spans that end after the step, as medians of a run may
  Seconds step;
  Seconds hidden;  // communication beside computation

  Seconds total() const { return compute + optimizer + exposed + idle + beyond; }
};

/// Two steps, operator by operator; the rows of each add up to its step.
struct StepDifference {
  StepParts first, second;
  std::vector<DifferenceRow> rows;  // by falling |difference|
  bool byIdentity = false;          // both of the same model; else aligned by name
  int64_t firstRanks = 0, secondRanks = 0;
};

struct DifferenceOptions {
  bool fold = true;
  bool slowestOnly = false;  // the ranks of the slowest stage of each, instead of all
};

/// n log n in the spans.
StepDifference differenceOf(const ComparedStep& first, const ComparedStep& second,
                            const DifferenceOptions& options);

}  // namespace meshplan::gui
