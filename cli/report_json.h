// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/planning.h"
#include "planner/search/search.h"

namespace meshplan {

/// Reports as JSON (docs/formats.md, "Reports"): SI units, bytes and seconds in the names of keys.
nlohmann::ordered_json reportJson(const PlanReport& report);
std::string searchJson(const SearchResult& result, const Planning& planning,
                       const SearchOptions& options);
std::string simulationJson(const PlanReport& report, const Planning& planning);

/// Model, cluster and training of a document, with its schema version.
nlohmann::ordered_json documentHead(const Planning& planning, int64_t globalBatch);
std::string dumpJson(const nlohmann::ordered_json& document);

}  // namespace meshplan
