// SPDX-License-Identifier: Apache-2.0
#include "core/hardware_json.h"

#include <utility>

#include "core/error.h"
#include "core/json_fields.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e24;          // beyond any physical rate
constexpr int64_t kMostBytes = 1LL << 60;  // 1 EiB

std::map<std::string, Parameter> readParameters(JsonFields& fields) {
  std::map<std::string, Parameter> parameters;
  if (!fields.has("parameters")) return parameters;
  JsonFields named = fields.object("parameters");
  for (const auto& [name, unused] : named.value().items()) {
    JsonFields p = named.object(name);
    parameters[name] = {p.number("value", -kLargest, kLargest), p.number("uncertainty", 0, 0, 100),
                        p.text("source", "")};
    p.finish();
  }
  return parameters;
}

json parametersJson(const std::map<std::string, Parameter>& parameters) {
  json out = json::object();
  for (const auto& [name, p] : parameters)
    out[name] = {{"value", p.value}, {"uncertainty", p.uncertainty}, {"source", p.source}};
  return out;
}

std::map<DType, FlopsPerSecond> readPeaks(JsonFields& fields) {
  std::map<DType, FlopsPerSecond> peaks;
  if (!fields.has("matrix_peak")) return peaks;
  JsonFields named = fields.object("matrix_peak");
  for (const auto& [name, unused] : named.value().items()) {
    try {
      peaks[parseDType(name)] = FlopsPerSecond(named.number(name, 1, kLargest));
    } catch (const Error& e) {
      named.reject(name, e.problem(), e.remedy());
    }
  }
  return peaks;
}

LinkKind readKind(JsonFields& fields) {
  const std::string kind = fields.text("kind");
  try {
    return parseLinkKind(kind);
  } catch (const Error& e) {
    fields.reject("kind", e.problem(), e.remedy());
  }
}

}  // namespace

DeviceSpec readDeviceSpec(JsonFields& fields, std::string name) {
  DeviceSpec s;
  s.name = std::move(name);
  s.architecture = fields.text("architecture", "");
  s.memory = Bytes(fields.integer("memory", 1, kMostBytes));
  s.memoryBandwidth = BytesPerSecond(fields.number("memory_bandwidth", 1, kLargest));
  s.vectorPeak = FlopsPerSecond(fields.number("vector_peak", 1, kLargest));
  s.matrixPeak = readPeaks(fields);
  s.multiprocessors = static_cast<int>(fields.integer("multiprocessors", 1, 1, 1000000));
  s.l2 = Bytes(fields.integer("l2", 0, 0, kMostBytes));
  s.pricePerHour = fields.number("price_per_hour", 0, 0, 1e9);
  s.parameters = readParameters(fields);
  s.source = fields.text("source", "");
  return s;
}

LinkSpec readLinkSpec(JsonFields& fields, std::string name) {
  LinkSpec s;
  s.name = std::move(name);
  s.kind = readKind(fields);
  s.bandwidth = BytesPerSecond(fields.number("bandwidth", 1, kLargest));
  s.latency = Seconds(fields.number("latency", 0, 0, 10));
  s.parameters = readParameters(fields);
  s.source = fields.text("source", "");
  return s;
}

json deviceSpecJson(const DeviceSpec& s) {
  json peaks = json::object();
  for (const auto& [dtype, peak] : s.matrixPeak) peaks[std::string(dtypeName(dtype))] = peak.value;
  return {{"name", s.name},
          {"architecture", s.architecture},
          {"memory", s.memory.value},
          {"memory_bandwidth", s.memoryBandwidth.value},
          {"vector_peak", s.vectorPeak.value},
          {"matrix_peak", peaks},
          {"multiprocessors", s.multiprocessors},
          {"l2", s.l2.value},
          {"price_per_hour", s.pricePerHour},
          {"parameters", parametersJson(s.parameters)},
          {"source", s.source}};
}

json linkSpecJson(const LinkSpec& s) {
  return {{"name", s.name},
          {"kind", linkKindName(s.kind)},
          {"bandwidth", s.bandwidth.value},
          {"latency", s.latency.value},
          {"parameters", parametersJson(s.parameters)},
          {"source", s.source}};
}

}  // namespace meshplan
