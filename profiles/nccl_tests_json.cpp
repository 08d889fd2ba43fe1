// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json_fields.h"
#include "profiles/nccl_tests_import.h"
#include "profiles/nccl_tests_run.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr int64_t kMostRanks = 1 << 20;

[[noreturn]] void refuse(const std::string& place, const std::string& problem) {
  throw Error(ErrorKind::input, problem, "check that nccl-tests wrote the file to its end")
      .at(place);
}

std::string textOr(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t wholeOr(const json& object, const char* key, int64_t otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number_integer() ? it->get<int64_t>() : otherwise;
}

double numberAt(const json& object, const char* key, const std::string& place) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number() || !std::isfinite(it->get<double>()) ||
      it->get<double>() < 0)
    refuse(place + "." + key, "is no time or bandwidth");
  return it->get<double>();
}

/// The file lists the first device of each process; each has threads x devices of the same kind.
std::vector<NcclTestsRun::Rank> ranksOf(const json& config, int64_t perProcess) {
  std::vector<NcclTestsRun::Rank> ranks;
  const auto devices = config.find("devices");
  if (devices == config.end() || !devices->is_array() || devices->empty())
    refuse("config.devices", "is missing");
  const auto listed = static_cast<int64_t>(devices->size());
  if (perProcess < 1 || perProcess > kMostRanks / listed)
    refuse("config", "threads and devices are out of range");
  for (const json& d : *devices) {
    if (!d.is_object()) refuse("config.devices", "a device is no object");
    const NcclTestsRun::Rank rank{wholeOr(d, "group", 0), textOr(d, "hostname"),
                                  textOr(d, "device_info")};
    ranks.insert(ranks.end(), static_cast<size_t>(perProcess), rank);
  }
  return ranks;
}

std::string programOf(const json& root) {
  const auto args = root.find("args");
  const bool named = args != root.end() && args->is_array() && !args->empty();
  return named && args->front().is_string() ? args->front().get<std::string>() : std::string();
}

/// The single timings where `--per-iter` wrote them, else their mean.
std::vector<double> secondsOf(const json& result, const std::string& side, double mean) {
  const auto iterations = result.find(side + "_per_iter");
  if (iterations == result.end() || !iterations->is_object()) return {mean};
  const auto times = iterations->find("times_us");
  if (times == iterations->end() || !times->is_array() || times->empty()) return {mean};
  std::vector<double> seconds;
  for (const json& t : *times) {
    if (!t.is_number() || t.get<double>() < 0) refuse(side + "_per_iter.times_us", "is no time");
    seconds.push_back(t.get<double>() * 1e-6);
  }
  return seconds;
}

void readSide(const json& result, const std::string& side, const std::string& place,
              NcclTestsRun& run, ImportCollector& collector) {
  const auto it = result.find(side);
  if (it == result.end() || it->is_null()) return;
  if (!it->is_object()) refuse(place + "." + side, "is no object");
  if (it->contains("cpu_time"))
    return collector.leaveOut("all sizes", "the host was timed, not the collective (-C)",
                              numberAt(*it, "cpu_time", place) * 1e-6);
  NcclTestsRow row;
  row.size = wholeOr(result, "size", -1);
  if (row.size < 0) refuse(place + ".size", "is no size");
  row.redop = textOr(result, "redop");
  row.root = std::atoll(textOr(result, "root").c_str());
  row.algbw = numberAt(*it, "alg_bw", place);
  row.busbw = numberAt(*it, "bus_bw", place);
  row.seconds = secondsOf(result, side, numberAt(*it, "time", place) * 1e-6);
  const auto wrong = it->find("nwrong");
  const bool bad = wrong != it->end() && wrong->is_number() && wrong->get<double>() > 0;
  (bad ? run.wrong : run.rows).push_back(std::move(row));
}

void readRun(const json& root, const Source& source, const ImportOptions& options,
             ImportCollector& collector) {
  if (!root.is_object() || !root.contains("results") || !root["results"].is_array())
    refuse("results", "is missing");
  const json config = root.value("config", json::object());
  if (!config.is_object()) refuse("config", "is no object");
  NcclTestsRun run;
  run.program = programOf(root);
  run.ncclVersion = ncclVersionText(wholeOr(root, "nccl_version", 0));
  // Versions before the second kept the devices beside the configuration.
  const json& holder = config.contains("devices") ? config : root;
  const int64_t threads = wholeOr(config, "nthreads", 1), devices = wholeOr(config, "ngpus", 1);
  if (threads < 1 || threads > kMostRanks || devices < 1 || devices > kMostRanks)
    refuse("config", "threads and devices are out of range");
  run.ranks = ranksOf(holder, threads * devices);
  size_t index = 0;
  for (const json& result : root["results"]) {
    const std::string place = fmt::format("results[{}]", index++);
    if (!result.is_object()) refuse(place, "is no object");
    readSide(result, "out_of_place", place, run, collector);
    readSide(result, "in_place", place, run, collector);
  }
  run.collect(source, options, collector);
}

}  // namespace

void importNcclTestsJson(const std::string& text, const Source& source,
                         const ImportOptions& options, ImportCollector& collector) {
  const json root = parseJson(text, source.text);
  try {
    readRun(root, source, options, collector);
  } catch (const Error& e) {
    throw e.inFile(source.text);
  }
}

}  // namespace meshplan
