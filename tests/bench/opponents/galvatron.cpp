// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/galvatron.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/json_fields.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e15;

struct File {
  std::string path;
  json document;
};

File open(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in)
    throw Error(ErrorKind::input, "cannot be read", "give a copy of Galvatron's repository")
        .inFile(path);
  return {path, parseJson(text.str(), path)};
}

GalvatronLine fit(const std::map<int64_t, double>& points) {
  double meanX = 0, meanY = 0, xx = 0, xy = 0;
  for (const auto& [x, y] : points) {
    meanX += static_cast<double>(x) / static_cast<double>(points.size());
    meanY += y / static_cast<double>(points.size());
  }
  for (const auto& [x, y] : points) {
    const double dx = static_cast<double>(x) - meanX;
    xx += dx * dx;
    xy += dx * (y - meanY);
  }
  return {xy / xx, meanY - xy / xx * meanX};
}

/// Numbers of the keys "PREFIX<n>SUFFIX".
std::map<int64_t, double> series(JsonFields& fields, const std::string& prefix,
                                 const std::string& suffix) {
  std::map<int64_t, double> found;
  for (const auto& [key, value] : fields.value().items()) {
    if (key.rfind(prefix, 0) != 0) continue;
    int64_t n = 0;
    const auto [end, failed] =
        std::from_chars(key.data() + prefix.size(), key.data() + key.size(), n);
    if (failed == std::errc() && std::string(end) == suffix)
      found[n] = fields.number(key, 0, kLargest);
  }
  return found;
}

void needEight(const std::map<int64_t, double>& points, const std::string& place) {
  if (points.size() < 8)
    throw Error(ErrorKind::input, fmt::format("{} points are too few for a line", points.size()),
                "measure eight or more")
        .at(place);
}

GalvatronLine computeLine(JsonFields& fields, const std::string& layer, int64_t sequence) {
  const std::string prefix = layer + "_bsz", suffix = fmt::format("_seq{}", sequence);
  std::map<int64_t, double> points = series(fields, prefix, suffix);
  needEight(points, prefix + "*" + suffix);
  for (auto& [samples, time] : points) time *= static_cast<double>(samples);
  return fit(points);
}

std::map<int64_t, double> byDegree(JsonFields fields) {
  return series(fields, "", "");
}

GalvatronProfile::Other readOther(JsonFields& top, const std::string& key,
                                  const std::string& sequence) {
  JsonFields fields = top.object(key).object(sequence);
  return {byDegree(fields.object("model_states")), byDegree(fields.object("activation"))};
}

std::map<int64_t, GalvatronLatency> latencies(JsonFields& fields, const std::string& collective,
                                              int64_t devices, double share) {
  std::map<int64_t, GalvatronLatency> all;
  for (int64_t n = 2; n <= devices; n *= 2) {
    const std::string prefix = fmt::format("{}_size_{}_", collective, n);
    GalvatronLatency latency;
    latency.measured = series(fields, prefix, "MB_time");
    needEight(latency.measured, prefix + "*MB_time");
    for (auto& [size, time] : latency.measured) time *= share;
    latency.line = fit(latency.measured);
    all.emplace(n, std::move(latency));
  }
  return all;
}

void readMemory(const json& document, const GalvatronSetting& s, GalvatronProfile& p) {
  JsonFields top(document, "");
  const std::string sequence = std::to_string(s.sequence);
  JsonFields layer = top.object("layertype_0_sp").object(sequence);
  p.layerParameters = layer.number("parameter_size", 0, kLargest);
  JsonFields activations = layer.object("tp_activation_per_bsz_dict");
  p.layerActivations = byDegree(activations);
  p.recomputedActivations = activations.number("checkpoint", 0, kLargest);
  p.alone = readOther(top, "other_memory_pp_off_sp", sequence);
  p.first = readOther(top, "other_memory_pp_on_first_sp", sequence);
  p.last = readOther(top, "other_memory_pp_on_last_sp", sequence);
}

void readReduce(const json& document, int64_t devices, GalvatronProfile& p) {
  JsonFields fields(document, "");
  p.reduceDistant[1] = p.reduceNear[1] = 0;
  for (int64_t n = 2; n <= devices; n *= 2) {
    const auto perMebibyte = [&](int consecutive) {
      return 1 / fields.number(fmt::format("allreduce_size_{}_consec_{}", n, consecutive), 1e-9,
                               kLargest);
    };
    p.reduceNear[n] = perMebibyte(1);
    p.reduceDistant[n] = perMebibyte(n == devices ? 1 : 0);
  }
}

}  // namespace

double GalvatronLatency::milliseconds(double mebibytes) const {
  const auto found = measured.find(static_cast<int64_t>(mebibytes));
  const bool exact = found != measured.end() && static_cast<double>(found->first) == mebibytes;
  return exact ? found->second : line.at(mebibytes);
}

GalvatronProfile readGalvatronProfile(const std::string& folder, const GalvatronSetting& s) {
  GalvatronProfile p;
  const std::string model = folder + "/galvatron/models/gpt/configs/";
  const std::string hardware = folder + "/galvatron/profile_hardware/hardware_configs/";
  const std::string machine =
      fmt::format("_{}nodes_{}gpus_per_node.json", s.nodes, s.devicesPerNode);
  const auto read = [](const std::string& path, const auto& reader) {
    const File file = open(path);
    try {
      reader(file.document);
    } catch (const Error& e) {
      throw e.inFile(file.path);
    }
  };
  read(fmt::format("{}computation_profiling_{}_{}_all.json", model, s.precision, s.model),
       [&](const json& document) {
         JsonFields fields(document, "");
         p.layer = computeLine(fields, "layertype_0", s.sequence);
         p.other = computeLine(fields, "layertype_other", s.sequence);
       });
  read(fmt::format("{}memory_profiling_{}_{}_all.json", model, s.precision, s.model),
       [&](const json& document) { readMemory(document, s, p); });
  read(hardware + "allreduce_bandwidth" + machine,
       [&](const json& document) { readReduce(document, s.devices(), p); });
  read(hardware + "p2p_bandwidth" + machine, [&](const json& document) {
    JsonFields fields(document, "");
    for (const auto& [stages, rate] : series(fields, "pp_size_", ""))
      p.sendReceive[stages] = 1 / rate;
  });
  read(hardware + "overlap_coefficient.json", [&](const json& document) {
    p.overlap = JsonFields(document, "").number("overlap_coe", 1e-9, kLargest);
  });
  read(hardware + "sp_time" + machine, [&](const json& document) {
    JsonFields fields(document, "");
    p.allGather = latencies(fields, "allreduce", s.devices(), 0.5);
    p.allToAll = latencies(fields, "all2all", s.devices(), 1);
  });
  return p;
}

}  // namespace meshplan
