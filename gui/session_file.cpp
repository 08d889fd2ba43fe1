// SPDX-License-Identifier: Apache-2.0
#include "gui/session_file.h"

#include <fmt/format.h>

#include <QFile>
#include <QSaveFile>

#include "core/request_json.h"

namespace meshplan::gui {
namespace {

using nlohmann::json;

constexpr int kSchemaVersion = 1;
constexpr qint64 kLargestFile = qint64{256} << 20;
constexpr int64_t kMostIds = int64_t{1} << 24;
constexpr double kLongestStep = 1e12;

// ---- writing

json requestJson(const OpenRequest& r) {
  json out = {{"model", modelRequestToJson(r.model)},
              {"training", trainingToJson(r.training)},
              {"cluster", r.cluster},
              {"global_batch", r.globalBatch}};
  if (!r.clusterJson.empty()) out["cluster_file"] = parseJson(r.clusterJson, "cluster");
  if (r.memoryLimit) out["memory_limit_bytes"] = r.memoryLimit->value;
  if (!r.profilesPath.empty()) out["profiles"] = r.profilesPath;
  return out;
}

json planJson(const SavedPlan& plan) {
  return {{"label", plan.label},
          {"cut_by_hand", plan.cutByHand},
          {"plan", parseJson(planToJson(plan.file), "plan")},
          {"scenario",
           {{"network", plan.scenario.network},
            {"fabric", plan.scenario.fabric},
            {"device", plan.scenario.device}}}};
}

// ---- reading

OpenRequest readRequest(JsonFields fields) {
  OpenRequest request;
  request.model = readModelRequest(fields.object("model"));
  JsonFields training = fields.object("training");
  request.training = readTraining(training);
  training.finish();
  request.cluster = fields.text("cluster");
  request.globalBatch = fields.integer("global_batch", 0, int64_t{1} << 40);
  if (fields.has("cluster_file"))
    request.clusterJson = fields.object("cluster_file").value().dump();
  if (fields.has("memory_limit_bytes"))
    request.memoryLimit = Bytes(fields.integer("memory_limit_bytes", 1, int64_t{1} << 60));
  request.profilesPath = fields.text("profiles", "");
  fields.finish();
  return request;
}

Scenario readScenario(JsonFields fields) {
  Scenario scenario;
  scenario.network = fields.number("network", 1e-6, 1e6);
  scenario.fabric = fields.number("fabric", 1e-6, 1e6);
  scenario.device = fields.text("device");
  fields.finish();
  return scenario;
}

SavedPlan readPlan(JsonFields fields) {
  SavedPlan plan;
  plan.label = fields.text("label");
  plan.cutByHand = fields.flag("cut_by_hand", false);
  plan.scenario = readScenario(fields.object("scenario"));
  const json& file = fields.object("plan").value();
  fields.finish();
  try {
    plan.file = planFromJson(file.dump(), {});
  } catch (const Error& error) {
    throw Error(error.kind(), error.problem(), error.remedy())
        .at(fmt::format("{}.plan.{}", fields.place(), error.place()));
  }
  return plan;
}

template <class Id>
std::vector<Id> readIds(JsonFields& fields, const std::string& key) {
  std::vector<Id> ids;
  if (!fields.has(key)) return ids;
  for (const json& item : fields.array(key)) {
    if (!item.is_number_integer() || item < 0 || item >= kMostIds)
      fields.reject(key, "an entry is no number of an operator or a rank", "use numbers from 0");
    ids.push_back(item.get<Id>());
  }
  return ids;
}

std::optional<std::pair<double, double>> readRange(JsonFields& fields, const std::string& key) {
  if (!fields.has(key)) return {};
  const json& range = fields.array(key);
  const auto isTime = [](const json& t) {
    return t.is_number() && std::abs(t.get<double>()) < kLongestStep;
  };
  if (range.size() != 2 || !isTime(range[0]) || !isTime(range[1]) || range[1] < range[0])
    fields.reject(key, "is no range of time", "write [begin, end] in seconds");
  return std::pair{range[0].get<double>(), range[1].get<double>()};
}

SessionFile readSession(const json& root) {
  JsonFields fields(root, "");
  SessionFile session;
  const int64_t version = fields.integer("meshplan_session", 0, INT32_MAX);
  if (version != kSchemaVersion)
    fields.reject("meshplan_session", fmt::format("version {} is not known", version),
                  fmt::format("this Meshplan reads version {}", kSchemaVersion));
  if (fields.has("open")) session.request = readRequest(fields.object("open"));
  if (fields.has("shown")) session.shown = readPlan(fields.object("shown"));
  const json& pinned = fields.array("pinned");
  for (size_t i = 0; i < pinned.size(); ++i)
    session.pinned.push_back(readPlan(JsonFields(pinned[i], fmt::format("pinned[{}]", i))));
  session.constraints = fields.text("constraints", "");
  session.workspace = fields.text("workspace", "");
  session.trace = fields.text("trace", "");
  JsonFields selection = fields.object("selection");
  session.operators = readIds<uint32_t>(selection, "operators");
  session.ranks = readIds<int64_t>(selection, "ranks");
  session.range = readRange(selection, "range");
  selection.finish();
  session.window = readRange(fields, "window");
  fields.finish();
  return session;
}

}  // namespace

SavedPlan savedPlan(const ShownPlan& shown) {
  SavedPlan saved{planFileOf(shown.document->planning(), shown.report), shown.report.label,
                  shown.document->scenario(), shown.cutByHand};
  saved.file.clusterJson = "{}";
  return saved;
}

std::string sessionToJson(const SessionFile& session) {
  json out = {{"meshplan_session", kSchemaVersion},
              {"pinned", json::array()},
              {"selection", {{"operators", session.operators}, {"ranks", session.ranks}}}};
  if (!session.request.model.source.empty()) out["open"] = requestJson(session.request);
  if (session.shown) out["shown"] = planJson(*session.shown);
  for (const SavedPlan& plan : session.pinned) out["pinned"].push_back(planJson(plan));
  if (!session.constraints.empty()) out["constraints"] = session.constraints;
  if (!session.workspace.empty()) out["workspace"] = session.workspace;
  if (!session.trace.empty()) out["trace"] = session.trace;
  if (session.range) out["selection"]["range"] = *session.range;
  if (session.window) out["window"] = *session.window;
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

SessionFile sessionFromJson(const std::string& text, const std::string& file) {
  const json root = parseJson(text, file);
  try {
    return readSession(root);
  } catch (const Error& error) {
    throw error.inFile(file);
  }
}

SessionFile readSessionFile(const std::string& path) {
  QFile file(QString::fromStdString(path));
  if (!file.open(QIODevice::ReadOnly))
    throw Error(ErrorKind::input, "cannot be read", "check the name and the permissions")
        .inFile(path);
  if (file.size() > kLargestFile)
    throw Error(ErrorKind::input, "is larger than any session", "check that this is the right file")
        .inFile(path);
  return sessionFromJson(file.readAll().toStdString(), path);
}

void writeSessionFile(const std::string& path, const SessionFile& session) {
  const std::string json = sessionToJson(session);
  QSaveFile file(QString::fromStdString(path));
  if (!file.open(QIODevice::WriteOnly) ||
      file.write(json.data(), static_cast<qint64>(json.size())) < 0 || !file.commit())
    throw Error(ErrorKind::runtime, "cannot be written: " + file.errorString().toStdString(),
                "check the folder and the free space")
        .inFile(path);
}

RestoredSession restoredSession(const SessionFile& session, const Tell& tell) {
  parseStrategy(session.constraints);
  RestoredSession out;
  out.document = Document::open(session.request, tell);
  const auto restored = [&](const SavedPlan& saved) {
    const Plan plan = planOf(saved.file, out.document->planning());
    const bool asOpened = saved.scenario == Scenario();
    return showPlan(asOpened ? out.document : out.document->in(saved.scenario), plan, saved.label,
                    saved.cutByHand);
  };
  try {
    if (session.shown) out.shown = restored(*session.shown);
    for (const SavedPlan& saved : session.pinned) out.pinned.push_back(restored(saved));
  } catch (const Error& error) {
    out = {out.document, error, {}, {}};
  }
  return out;
}

}  // namespace meshplan::gui
