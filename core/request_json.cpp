// SPDX-License-Identifier: Apache-2.0
#include "core/request_json.h"

namespace meshplan {
namespace {

using nlohmann::json;

std::map<std::string, int64_t> readDims(const json& object, const std::string& place) {
  JsonFields fields(object, place);
  std::map<std::string, int64_t> dims;
  for (const auto& [name, value] : object.items())
    dims[name] = fields.integer(name, 1, int64_t{1} << 40);
  return dims;
}

std::map<std::string, std::string> readSettings(const json& object, const std::string& place) {
  JsonFields fields(object, place);
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : object.items()) settings[name] = fields.text(name);
  return settings;
}

}  // namespace

json modelRequestToJson(const ModelRequest& model) {
  json out = {{"source", model.source}};
  if (!model.dims.empty()) out["dims"] = model.dims;
  if (!model.settings.empty()) out["settings"] = model.settings;
  if (model.sequence) out["sequence"] = *model.sequence;
  if (model.as) out["as"] = *model.as;
  if (model.tripCount) out["trip_count"] = *model.tripCount;
  if (model.attention) out["attention"] = *model.attention;
  return out;
}

ModelRequest readModelRequest(JsonFields fields) {
  ModelRequest model;
  model.source = fields.text("source");
  if (fields.has("dims")) model.dims = readDims(fields.at("dims"), fields.place() + ".dims");
  if (fields.has("settings"))
    model.settings = readSettings(fields.at("settings"), fields.place() + ".settings");
  if (fields.has("sequence")) model.sequence = fields.integer("sequence", 1, int64_t{1} << 32);
  if (fields.has("as")) model.as = fields.text("as");
  if (fields.has("trip_count")) model.tripCount = fields.integer("trip_count", 1, int64_t{1} << 40);
  if (fields.has("attention")) model.attention = fields.text("attention");
  fields.finish();
  return model;
}

json trainingToJson(const TrainingOptions& training) {
  return {{"precision", precisionName(training.precision)},
          {"optimizer", optimizerName(training.optimizer)},
          {"runtime", runtimeName(training.runtime)},
          {"gradient_dtype", dtypeName(training.gradientDType)}};
}

TrainingOptions readTraining(JsonFields& fields) {
  TrainingOptions training;
  training.precision = readChoice(
      fields, "precision",
      {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16, Precision::fp64},
      precisionName);
  training.optimizer = readChoice(
      fields, "optimizer",
      {OptimizerKind::sgd, OptimizerKind::momentum, OptimizerKind::adam, OptimizerKind::adamw},
      optimizerName);
  if (fields.has("runtime"))
    training.runtime = readChoice(fields, "runtime",
                                  {RuntimeKind::pytorch, RuntimeKind::megatron,
                                   RuntimeKind::megatronCore, RuntimeKind::native},
                                  runtimeName);
  training.gradientDType =
      readChoice(fields, "gradient_dtype", {DType::f32, DType::bf16, DType::f16}, dtypeName);
  return training;
}

}  // namespace meshplan
