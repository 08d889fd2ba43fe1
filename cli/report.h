// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "app/planning.h"
#include "cli/arguments.h"
#include "cli/table.h"
#include "planner/search/search.h"

namespace meshplan {

/// "Llama-3-8B on 8xH100-SXM: 8.03 B parameters ...": what was planned, one or two lines.
std::string planningHeading(const Planning& planning, int64_t globalBatch);

/// Plans with their figures, a line each: for people, or raw numbers for csv.
Table reportTable(const std::vector<PlanReport>& reports, const Planning& planning, bool raw);

/// Where the time of a plan goes, and the memory of its fullest rank, with bars.
std::string breakdownText(const PlanReport& report, const Planning& planning);

/// What a search or a simulation prints in each format. JSON is described in docs/formats.md.
std::string searchText(const SearchResult& result, const Planning& planning,
                       const SearchOptions& options, Format format);
std::string simulationText(const PlanReport& report, const Planning& planning, Format format);

/// What would make the nearest miss fit, for people.
std::string nearestMissRemedy(const PlanReport& miss, const Planning& planning);

}  // namespace meshplan
