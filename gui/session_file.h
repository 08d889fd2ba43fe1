// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/plan_json.h"
#include "gui/document.h"

namespace meshplan::gui {

/// A plan of the session's model, with the cluster that it was looked at on. The cluster inside the
/// plan file is left out: it is the session's.
struct SavedPlan {
  PlanFile file;
  std::string label;
  Scenario scenario;
  bool cutByHand = false;
};

/// What a session was, to go on with it later: a `.meshplan` file (docs/formats.md, "Session").
/// Undo history and what the search found are not in it.
struct SessionFile {
  OpenRequest request;
  std::optional<SavedPlan> shown;
  std::vector<SavedPlan> pinned;
  std::string constraints;                          // of the search, as --strategy takes them
  std::string workspace;                            // "model", "plan", "timeline", "compare" ...
  std::vector<uint32_t> operators;                  // selected; of the training graph
  std::vector<int64_t> ranks;                       // selected
  std::optional<std::pair<double, double>> range;   // selected, seconds
  std::optional<std::pair<double, double>> window;  // what the timeline shows of the step
  std::string trace;                                // a trace that is looked at without a model
};

SavedPlan savedPlan(const ShownPlan& shown);
std::string sessionToJson(const SessionFile& session);
/// Throws Error(input) naming `file` and the place for anything but a session of this schema
/// version, and for unknown keys.
SessionFile sessionFromJson(const std::string& text, const std::string& file);
SessionFile readSessionFile(const std::string& path);
/// All or nothing: what was there before stays until the new file is whole. Throws Error(runtime).
void writeSessionFile(const std::string& path, const SessionFile& session);

/// The document of a session and its plans, in the order of the file. A session without a shown
/// plan has none here; nor has one whose model has `changed` since. Throws Error as Document::open
/// does.
struct RestoredSession {
  std::shared_ptr<const Document> document;
  std::optional<Error> changed;
  std::shared_ptr<const ShownPlan> shown;
  std::vector<std::shared_ptr<const ShownPlan>> pinned;
};
RestoredSession restoredSession(const SessionFile& session, const Tell& tell);

}  // namespace meshplan::gui
