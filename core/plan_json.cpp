// SPDX-License-Identifier: Apache-2.0
#include "core/plan_json.h"

#include <fmt/format.h>

#include <charconv>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/request_json.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr int kSchemaVersion = 1;
constexpr int64_t kMostRanks = int64_t{1} << 24;
constexpr int64_t kMostBlocks = int64_t{1} << 20;

/// {0,1,2,5} as "0-2,5".
std::string rangesText(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    out += fmt::format("{}{}", out.empty() ? "" : ",", numbers[i]);
    if (last > i) out += fmt::format("-{}", numbers[last]);
    i = last + 1;
  }
  return out;
}

uint32_t parseBlock(JsonFields& fields, std::string_view text) {
  uint32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value >= kMostBlocks)
    fields.reject("blocks", fmt::format("'{}' is no block number", text), "write \"0-3,5\"");
  return value;
}

std::vector<uint32_t> parseRanges(JsonFields& fields) {
  const std::string text = fields.text("blocks");
  std::vector<uint32_t> numbers;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const size_t dash = std::min(item.find('-'), item.size());
    const uint32_t first = parseBlock(fields, item.substr(0, dash));
    const uint32_t last = dash == item.size() ? first : parseBlock(fields, item.substr(dash + 1));
    if (last < first || numbers.size() + (last - first) >= kMostBlocks)
      fields.reject("blocks", fmt::format("'{}' is no range", item), "write \"0-3,5\"");
    for (uint32_t n = first; n <= last; ++n) numbers.push_back(n);
  }
  return numbers;
}

// ---- writing

json shardingJson(const BlockSharding& sharding) {
  json operators = json::array();
  for (const BlockSharding::Choice& c : sharding.choices)
    operators.push_back({{"operator", c.op}, {"tensor", c.tensor}, {"expert", c.expert}});
  return {{"blocks", rangesText(sharding.blocks)}, {"operators", operators}};
}

json decisionsJson(const Plan& plan) {
  json out = {{"mesh",
               {{"tensor", plan.mesh.tensor},
                {"expert", plan.mesh.expert},
                {"data", plan.mesh.data},
                {"pipeline", plan.mesh.pipeline}}},
              {"global_batch", plan.globalBatch},
              {"micro_batch", plan.microBatch},
              {"schedule", scheduleName(plan.schedule)},
              {"virtual_stages", plan.virtualStages},
              {"recompute", recomputeName(plan.recompute)},
              {"zero_stage", plan.zeroStage},
              {"bucket_bytes", plan.bucketBytes},
              {"blocking_transfers", plan.blockingTransfers},
              {"overlap_tensor", plan.overlapTensor},
              {"gather_singly", plan.gatherSingly},
              {"chunk_starts", plan.chunkStarts}};
  out.update(trainingToJson(plan.training));
  return out;
}

// ---- reading

MeshShape readMesh(JsonFields fields) {
  MeshShape mesh;
  mesh.tensor = fields.integer("tensor", 1, kMostRanks);
  mesh.expert = fields.integer("expert", 1, kMostRanks);
  mesh.data = fields.integer("data", 1, kMostRanks);
  mesh.pipeline = fields.integer("pipeline", 1, kMostRanks);
  fields.finish();
  if (checkedMul(checkedMul(mesh.tensor, mesh.expert), checkedMul(mesh.data, mesh.pipeline)) >
      kMostRanks)
    fields.reject("data", "the mesh has too many ranks", "use at most 2^24");
  return mesh;
}

std::vector<int64_t> readStarts(JsonFields& fields) {
  std::vector<int64_t> starts;
  for (const json& item : fields.array("chunk_starts")) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() > kMostBlocks)
      fields.reject("chunk_starts", "an entry is no block number", "use whole numbers from 0");
    starts.push_back(item.get<int64_t>());
  }
  return starts;
}

Plan readPlan(JsonFields fields) {
  Plan plan;
  plan.mesh = readMesh(fields.object("mesh"));
  plan.globalBatch = fields.integer("global_batch", 1, int64_t{1} << 40);
  plan.microBatch = fields.integer("micro_batch", 1, int64_t{1} << 40);
  plan.schedule = readChoice(
      fields, "schedule", {ScheduleKind::gpipe, ScheduleKind::oneFOneB, ScheduleKind::interleaved},
      scheduleName);
  plan.virtualStages = fields.integer("virtual_stages", 1, kMostBlocks);
  plan.recompute = readChoice(
      fields, "recompute", {Recompute::none, Recompute::selective, Recompute::full}, recomputeName);
  plan.zeroStage = static_cast<int>(fields.integer("zero_stage", 0, 3));
  plan.training = readTraining(fields);
  plan.bucketBytes = fields.integer("bucket_bytes", 1, int64_t{1} << 50);
  plan.blockingTransfers = fields.flag("blocking_transfers", false);
  plan.overlapTensor = fields.flag("overlap_tensor", false);
  plan.gatherSingly = fields.flag("gather_singly", false);
  plan.chunkStarts = readStarts(fields);
  fields.finish();
  return plan;
}

BlockSharding readSharding(const json& item, size_t index) {
  JsonFields fields(item, fmt::format("shardings[{}]", index));
  BlockSharding sharding;
  sharding.blocks = parseRanges(fields);
  const json& operators = fields.array("operators");
  for (size_t i = 0; i < operators.size(); ++i) {
    JsonFields op(operators[i], fmt::format("{}.operators[{}]", fields.place(), i));
    sharding.choices.push_back({op.text("operator"), op.text("tensor"), op.text("expert")});
    op.finish();
  }
  fields.finish();
  return sharding;
}

void readPrediction(PlanFile& file, JsonFields fields) {
  file.predictedStepTime = Seconds(fields.number("step_time_seconds", 0, 1e12));
  file.predictedPeakMemory = Bytes(fields.integer("peak_memory_bytes", 0, int64_t{1} << 60));
  fields.finish();
}

PlanFile readFile(const json& root) {
  JsonFields fields(root, "");
  PlanFile file;
  const int64_t version = fields.integer("schema_version", 0, INT32_MAX);
  if (version != kSchemaVersion)
    fields.reject("schema_version", fmt::format("version {} is not known", version),
                  fmt::format("this Meshplan reads version {}", kSchemaVersion));
  file.model = readModelRequest(fields.object("model"));
  file.graphFingerprint = fields.text("graph_fingerprint");
  file.plan = readPlan(fields.object("plan"));
  if (fields.has("memory_limit_bytes"))
    file.memoryLimit = Bytes(fields.integer("memory_limit_bytes", 1, int64_t{1} << 60));
  if (fields.has("predicted")) readPrediction(file, fields.object("predicted"));
  const json& shardings = fields.array("shardings");
  for (size_t i = 0; i < shardings.size(); ++i)
    file.shardings.push_back(readSharding(shardings[i], i));
  file.clusterJson = fields.object("cluster").value().dump();
  fields.finish();
  return file;
}

}  // namespace

std::string fingerprintText(uint64_t fingerprint) {
  return fmt::format("{:016x}", fingerprint);
}

std::string planToJson(const PlanFile& file) {
  json out = {{"schema_version", kSchemaVersion},
              {"model", modelRequestToJson(file.model)},
              {"graph_fingerprint", file.graphFingerprint},
              {"plan", decisionsJson(file.plan)},
              {"predicted",
               {{"step_time_seconds", file.predictedStepTime.value},
                {"peak_memory_bytes", file.predictedPeakMemory.value}}},
              {"shardings", json::array()},
              {"cluster", parseJson(file.clusterJson, "cluster")}};
  if (file.memoryLimit) out["memory_limit_bytes"] = file.memoryLimit->value;
  for (const BlockSharding& s : file.shardings) out["shardings"].push_back(shardingJson(s));
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

PlanFile planFromJson(const std::string& text, const std::string& file) {
  const json root = parseJson(text, file);
  try {
    return readFile(root);
  } catch (const Error& error) {
    throw error.inFile(file);
  }
}

}  // namespace meshplan
