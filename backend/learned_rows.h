// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/step_record.h"

namespace meshplan {

/// What the ranks of a run shared while they were recorded.
struct RunConditions {
  Environment environment;
  Source source;
  std::string transport;
  int cores = 1, threads = 1;  // of the host, of each of its ranks
  bool ownDevices = false;     // ranks do not share what they compute with
};

struct LearnedRows {
  std::vector<OperatorMeasurement> operators;
  std::vector<CollectiveMeasurement> collectives;
};

/// What recorded steps teach about operators and collectives, one row per distinct work and per
/// number of ranks that were busy beside it. Instructions of equal work stand in different company
/// (what the caches hold): a row has the mean of their means, without outliers, for its median,
/// because steps are sums. Instructions during which ranks of
/// the host began or stopped to work teach nothing. Where ranks had to share cores, what an
/// operator took of the processor counts, if that was recorded. One host only.
LearnedRows learnedRows(const Program& program, const std::vector<RankSteps>& ranks,
                        const RunConditions& conditions);

/// "f32[256,784] f32[784,1024] -> f32[256,1024]"
std::string typesText(const Binding& binding);

}  // namespace meshplan
