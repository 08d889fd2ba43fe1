// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "app/planning.h"
#include "cli/arguments.h"
#include "core/trace_export.h"

namespace meshplan {

/// Planning from the options of a subcommand; warnings go to stderr.
std::unique_ptr<Planning> loadPlanning(const ModelArguments& model,
                                       const TrainingArguments& training,
                                       const ClusterArguments& cluster);

/// What --global-batch is when it is not given: 8 sequences or 32 other samples per device. Says so
/// on stderr.
int64_t defaultGlobalBatch(const Planning& planning);

/// Simulates the plan once more and writes the trace: Chrome JSON for *.json, Perfetto protobuf for
/// *.pftrace and *.perfetto-trace; says on stderr how to open it.
void writeTrace(const std::string& path, const Planning& planning, const Plan& plan);
void writeTrace(const std::string& path, const Program& program, const TracedTimelines& timelines,
                const Graph& graph);
/// Throws Error(usage) for a name that is none of these.
void checkTraceName(const std::string& path);

}  // namespace meshplan
