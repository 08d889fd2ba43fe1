// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/timeline.h"
#include "gui/models/time_evidence.h"
#include "gui/palette.h"
#include "gui/selection.h"

namespace meshplan::gui {

/// One operator in one phase, one collective, or the transfers to a stage; with folding, all
/// operators whose names differ in layer numbers only.
struct RangeRow {
  std::string name, phase;
  SpanKind kind = SpanKind::forward;
  int64_t runs = 0;             // begun or running in the range, on one rank of each rank class
  Seconds time;                 // inside the range, on the average of the ranks that run it
  double share = 0;             // of the range
  std::vector<OpId> operators;  // forward operators, sorted
  /// What the same instructions were predicted to take; of measured timelines.
  std::optional<Seconds> predicted;
  EvidenceSum evidence;  // of the predicted times
};

/// What rank classes did in a part of a step, as TimeByCategory tells it of whole steps: on the
/// average rank, `compute`, `optimizer`, `exposed` (the compute stream idle beside a collective or
/// transfer) and `idle` add up to the range.
struct RangeStatistics {
  TimeRange range;
  int64_t ranks = 0;
  Seconds compute, optimizer, exposed, idle;
  Seconds communication;       // all of it, hidden or not
  std::vector<RangeRow> rows;  // by falling time
};

/// What is known of the predictions of a timeline. `predicted`, of the same program, where the
/// timeline was measured.
struct RangePrediction {
  const EvidenceTable* evidence = nullptr;
  const Timeline* predicted = nullptr;
};

/// `rankClasses` sorted; none: all. Linear in the spans of the timeline.
RangeStatistics statisticsOf(const Program& program, const Graph& graph, const Timeline& timeline,
                             const TimeRange& range, const std::vector<size_t>& rankClasses,
                             bool fold, const RangePrediction& prediction = {});

/// "layers.8.mlp.fc1" as "layers.*.mlp.fc1".
std::string foldedName(const std::string& name);

}  // namespace meshplan::gui
