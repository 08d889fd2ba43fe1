// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>

#include "core/error.h"
#include "core/json_fields.h"
#include "tests/bench/opponents/galvatron_cost.h"

namespace meshplan {
namespace {

std::vector<int64_t> list(JsonFields& fields, const std::string& key, int64_t size) {
  const std::string text = fields.text(key);
  std::vector<int64_t> values;
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    int64_t value = 0;
    const auto [end, failed] = std::from_chars(at, text.data() + text.size(), value);
    if (failed != std::errc() || (end != text.data() + text.size() && *end != ','))
      fields.reject(key, "not a list of whole numbers", "write \"1,1,2\"");
    values.push_back(value);
    at = end;
  }
  if (static_cast<int64_t>(values.size()) != size)
    fields.reject(key, fmt::format("{} values for {} layers", values.size(), size),
                  "give one per layer");
  return values;
}

GalvatronStrategy strategy(const GalvatronSetting& setting, int64_t pipeline, int64_t inner,
                           bool ulysses, bool zero3) {
  if (inner < 1 || setting.devices() % (pipeline * inner) != 0)
    throw Error(ErrorKind::input, fmt::format("degree {} does not divide the devices", inner),
                "check that the plan belongs to this setting");
  GalvatronStrategy s;
  s.pipeline = pipeline;
  (ulysses && inner > 1 ? s.sequence : s.tensor) = inner;
  s.data = setting.devices() / pipeline / inner;
  if (s.data > 1)
    s.sharding = zero3 ? GalvatronStrategy::Sharding::zero3 : GalvatronStrategy::Sharding::zero2;
  return s;
}

}  // namespace

GalvatronPlan parseGalvatronPlan(const GalvatronSetting& setting, const std::string& text,
                                 const std::string& file) try {
  const nlohmann::json document = parseJson(text, file);
  JsonFields fields(document, "");
  GalvatronPlan plan;
  plan.pipeline = fields.integer("pp_deg", 1, setting.devices());
  plan.microBatches = fields.integer("chunks", 1, setting.batch);
  if (fields.integer("global_bsz", 1, int64_t{1} << 40) != setting.batch)
    fields.reject("global_bsz", fmt::format("the batch is {}", setting.batch), "give --batch");
  const auto inner = list(fields, "tp_sizes_enc", setting.layers);
  const auto zero3 = list(fields, "dp_types_enc", setting.layers);
  const auto ulysses = list(fields, "use_sp", setting.layers);
  const auto recompute = list(fields, "checkpoint", setting.layers);
  for (size_t i = 0; i < inner.size(); ++i) {
    plan.layers.push_back(
        strategy(setting, plan.pipeline, inner[i], ulysses[i] == 1, zero3[i] == 1));
    plan.layers.back().recompute = recompute[i] == 1;
  }
  plan.embedding =
      strategy(setting, plan.pipeline, fields.integer("vtp", 1, setting.devices()),
               fields.integer("vsp", 0, 1) == 1, fields.integer("embed_sdp", 0, 1) == 1);
  return plan;
} catch (const Error& e) {
  throw e.inFile(file);
}

}  // namespace meshplan
