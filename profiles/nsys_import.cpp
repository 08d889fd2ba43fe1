// SPDX-License-Identifier: Apache-2.0
#include "profiles/nsys_import.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/error.h"
#include "profiles/collective_matcher.h"
#include "profiles/nsys_database.h"
#include "profiles/operator_trace.h"

namespace meshplan {
namespace {

using nlohmann::json;

uint64_t processOf(uint64_t global) {
  return global >> 24 & 0xffffff;
}

/// What stands behind ", KEY = " up to the next such key; a list up to its end.
std::string_view fieldOf(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + key.size());
  if (!rest.starts_with('[')) return rest.substr(0, rest.find(','));
  int depth = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    depth += (rest[i] == '[') - (rest[i] == ']');
    if (depth == 0) return rest.substr(0, i + 1);
  }
  return {};
}

int64_t wholeIn(std::string_view text) {
  int64_t value = -1;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() ? value : -1;
}

/// A number of a payload whose key holds all of these words, in any case.
int64_t payloadNumber(const json& payload, std::initializer_list<std::string_view> words) {
  if (!payload.is_object()) return -1;
  for (const auto& [key, value] : payload.items()) {
    std::string name = key;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool all = std::all_of(words.begin(), words.end(), [&](std::string_view w) {
      return name.find(w) != std::string::npos;
    });
    if (all && value.is_number_integer()) return value.get<int64_t>();
    if (all && value.is_string()) return wholeIn(value.get<std::string>());
  }
  return -1;
}

/// A call of NCCL on a thread, from its range.
struct NcclCall {
  int64_t start = 0, end = 0;
  std::string name;
  int64_t bytes = -1, communicator = -1;
  int64_t order = 0;  // among the same calls of the process on the communicator
};

class Import {
 public:
  Import(NsysDatabase& database, ImportCollector& collector)
      : database_(database), collector_(collector) {}

  void run() {
    database_.ranges([this](const NsysDatabase::Range& r) { takeRange(r); });
    numberCalls();
    database_.launches([this](const NsysDatabase::Launch& l) {
      launches_[{processOf(l.thread), l.correlation}] = l;
      anyProcess_[l.correlation] = l;
    });
    database_.kernels([this](const NsysDatabase::Kernel& k) { takeKernel(k); });
    trace_.collect(collector_);
    matcher_.collect("nccl", collector_);
  }

 private:
  void takeRange(const NsysDatabase::Range& r) {
    if (r.end < r.start || r.start < 0) return;
    if (r.text.starts_with("nccl")) return takeNccl(r);
    OperatorTrace::Range range;
    range.name = trace_.intern(r.text.substr(0, r.text.find(", ")));
    const std::string_view sizes = fieldOf(r.text, ", sizes = ");
    if (!sizes.empty()) range.call = trace_.internCall(std::string(sizes), "", "");
    range.begin = r.start;
    range.end = r.end;
    range.thread = r.thread;
    range.sequence = wholeIn(fieldOf(r.text, ", seq = "));
    trace_.addRange(range);
  }

  void takeNccl(const NsysDatabase::Range& r) {
    const json payload = json::parse(r.payload, nullptr, false);
    const int64_t communicator = payloadNumber(payload, {"communicator"});
    if (const int64_t ranks = payloadNumber(payload, {"no. of ranks"}); ranks > 0)
      communicatorRanks_[communicator] = ranks;
    NcclCall call;
    call.start = r.start;
    call.end = r.end;
    call.name = r.text.substr(0, r.text.find_first_of(" (,:"));
    call.bytes = payloadNumber(payload, {"message size"});
    call.communicator = communicator;
    nccl_[r.thread].push_back(std::move(call));
  }

  void numberCalls() {
    std::map<std::tuple<uint64_t, int64_t, std::string>, int64_t> seen;
    for (auto& [thread, calls] : nccl_) {
      std::sort(calls.begin(), calls.end(),
                [](const NcclCall& a, const NcclCall& b) { return a.start < b.start; });
      for (NcclCall& c : calls) c.order = seen[{processOf(thread), c.communicator, c.name}]++;
    }
  }

  const NsysDatabase::Launch* launchOf(const NsysDatabase::Kernel& k) const {
    const auto own = launches_.find({processOf(k.process), k.correlation});
    if (own != launches_.end()) return &own->second;
    const auto any = anyProcess_.find(k.correlation);
    return k.process == 0 && any != anyProcess_.end() ? &any->second : nullptr;
  }

  void takeKernel(const NsysDatabase::Kernel& k) {
    if (k.end < k.start) return;
    const double seconds = static_cast<double>(k.end - k.start) * 1e-9;
    const NsysDatabase::Launch* launch = launchOf(k);
    if (k.name.find("nccl") != std::string::npos) return takeNcclKernel(k, launch, seconds);
    const uint32_t name = trace_.intern(k.name);
    if (launch)
      trace_.addKernelAt(launch->thread, launch->start, name, seconds);
    else
      trace_.addUntied(name, seconds);
  }

  void takeNcclKernel(const NsysDatabase::Kernel& k, const NsysDatabase::Launch* launch,
                      double seconds) {
    const NcclCall* call = launch ? callAt(*launch) : nullptr;
    if (!call || call->bytes <= 0)
      return collector_.leaveOut(k.name, "the size of the collective is not recorded", seconds);
    const auto ranks = communicatorRanks_.find(call->communicator);
    RankCollective c;
    c.name = call->name;
    c.group = std::to_string(call->communicator);
    c.ranks = ranks == communicatorRanks_.end() ? -1 : ranks->second;
    c.peers = std::to_string(c.ranks);
    c.rank = static_cast<int64_t>(processOf(launch->thread));
    c.order = call->order;
    // NCCL counts one rank's part: what it sends to an all-gather, receives of a reduce-scatter.
    const auto kind = collectiveKindOf(c.name);
    (kind == CollectiveKind::reduceScatter ? c.outBytes : c.inBytes) = call->bytes;
    c.seconds = seconds;
    matcher_.add(c);
  }

  const NcclCall* callAt(const NsysDatabase::Launch& launch) const {
    const auto calls = nccl_.find(launch.thread);
    if (calls == nccl_.end()) return nullptr;
    const auto after =
        std::upper_bound(calls->second.begin(), calls->second.end(), launch.start,
                         [](int64_t time, const NcclCall& c) { return time < c.start; });
    if (after == calls->second.begin() || std::prev(after)->end < launch.start) return nullptr;
    return &*std::prev(after);
  }

  NsysDatabase& database_;
  ImportCollector& collector_;
  OperatorTrace trace_;
  CollectiveMatcher matcher_;
  std::map<std::pair<uint64_t, int64_t>, NsysDatabase::Launch> launches_;
  std::unordered_map<int64_t, NsysDatabase::Launch> anyProcess_;
  std::map<uint64_t, std::vector<NcclCall>> nccl_;  // by thread
  std::map<int64_t, int64_t> communicatorRanks_;
};

}  // namespace

void importNsys(const std::string& path, const ImportOptions& options, ImportCollector& collector) {
  try {
    NsysDatabase database(path);
    const ReportedDevice device = database.device();
    collector.setOrigin(
        {importedDevice(options, device.name, device.memory, device.multiprocessors, collector),
         {},
         "pytorch, nsys"},
        importedSource(path));
    Import(database, collector).run();
  } catch (const SQLite::Exception& e) {
    throw Error(ErrorKind::input, std::string("is no readable SQLite database: ") + e.what(),
                "make it again with `nsys export --type sqlite REPORT.nsys-rep`")
        .inFile(path);
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

}  // namespace meshplan
