// SPDX-License-Identifier: Apache-2.0
#include "profiles/kineto_import.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/error.h"
#include "profiles/collective_matcher.h"
#include "profiles/kineto_events.h"
#include "profiles/operator_trace.h"

namespace meshplan {
namespace {

bool isKernel(const KinetoEvent& e) {
  for (std::string_view c : {"kernel", "Kernel", "gpu_memcpy", "Memcpy", "gpu_memset", "Memset"})
    if (e.category == c) return true;
  return false;
}

bool isLaunch(const KinetoEvent& e) {
  return e.category == "cuda_runtime" || e.category == "cuda_driver" || e.category == "Runtime";
}

bool isCall(const KinetoEvent& e) {
  return e.category == "cpu_op" || e.category == "Operator";
}

bool isNccl(const std::string& kernel) {
  return kernel.find("nccl") != std::string::npos || kernel.find("rccl") != std::string::npos;
}

struct CollectiveCall {
  std::string name, dtype, group, description, ranks;
  int64_t in = -1, out = -1, size = -1, order = -1;
  bool uneven = false;
};

/// "[]" or equal numbers.
bool isUneven(const std::string& splits) {
  const auto list = nlohmann::json::parse(splits, nullptr, false);
  if (!list.is_array()) return false;
  for (const auto& s : list)
    if (s != list[0]) return true;
  return false;
}

/// One rank's trace while it is read.
class RankTrace {
 public:
  KinetoHeader read(const std::string& path) {
    return readKinetoEvents(path, [this](const KinetoEvent& e) { take(e); });
  }

  /// Ties kernels to calls and hands on the operators.
  void collectOperators(ImportCollector& collector) {
    for (const Kernel& k : kernels_) tie(k);
    trace_.collect(collector);
  }

  void addCollectives(const KinetoHeader& header, int64_t file, CollectiveMatcher& matcher,
                      ImportCollector& collector) const {
    for (const NcclKernel& k : ncclKernels_) {
      const auto call = k.call >= 0 ? static_cast<size_t>(k.call) : callOf(k);
      if (call >= calls_.size()) {
        collector.leaveOut(k.name, "the collective is not recorded with its kernel", k.seconds);
        continue;
      }
      matcher.add(rankCollective(calls_[call], header, file, k.seconds));
    }
  }

  bool hasKernels() const { return !kernels_.empty() || !ncclKernels_.empty(); }

 private:
  struct Kernel {
    uint32_t name;
    int64_t externalId, correlation;
    double seconds;
  };
  struct NcclKernel {
    std::string name;
    int64_t call, externalId, correlation;
    double seconds;
  };
  struct Launch {
    uint64_t thread;
    int64_t time, externalId;
  };

  static uint64_t threadOf(const KinetoEvent& e) {
    return std::hash<std::string>()(e.process + '\n' + e.thread) >> 1;  // the last is nobody's
  }

  static bool isTimed(const KinetoEvent& e) {
    return std::isfinite(e.start) && std::isfinite(e.duration) && e.start >= 0 && e.start < 9e15 &&
           e.duration >= 0 && e.duration < 1e12;
  }

  static int64_t nanoseconds(double microseconds) { return std::llround(microseconds * 1e3); }

  void take(const KinetoEvent& e) {
    if (e.phase != "X" || !isTimed(e)) return;
    if (!e.collective.empty()) keepCollective(e);
    if (isCall(e))
      takeCall(e);
    else if (isLaunch(e) && e.correlation >= 0)
      launches_[e.correlation] = {threadOf(e), nanoseconds(e.start), e.externalId};
    else if (isKernel(e))
      takeKernel(e);
  }

  void takeCall(const KinetoEvent& e) {
    OperatorTrace::Range range;
    range.name = trace_.intern(e.name);
    range.call = trace_.internCall(e.dims, e.types, e.values);
    range.begin = nanoseconds(e.start);
    range.end = range.begin + nanoseconds(e.duration);
    range.thread = threadOf(e);
    range.sequence = e.sequence;
    const size_t id = trace_.addRange(range);
    if (e.externalId >= 0) byExternalId_[e.externalId] = id;
  }

  void takeKernel(const KinetoEvent& e) {
    const double seconds = e.duration * 1e-6;
    if (isNccl(e.name)) {
      const int64_t own = e.collective.empty() ? -1 : static_cast<int64_t>(calls_.size()) - 1;
      ncclKernels_.push_back({e.name, own, e.externalId, e.correlation, seconds});
    } else {
      kernels_.push_back({trace_.intern(e.name), e.externalId, e.correlation, seconds});
    }
  }

  void keepCollective(const KinetoEvent& e) {
    CollectiveCall c{e.collective,       e.dtype,      e.group,
                     e.groupDescription, e.groupRanks, e.inElements,
                     e.outElements,      e.groupSize,  e.order};
    c.uneven = isUneven(e.inSplit) || isUneven(e.outSplit);
    calls_.push_back(std::move(c));
    if (e.externalId >= 0) callByExternalId_.try_emplace(e.externalId, calls_.size() - 1);
  }

  size_t callOf(const NcclKernel& k) const {
    const auto launch = launches_.find(k.correlation);
    for (int64_t id : {k.externalId, launch == launches_.end() ? -1 : launch->second.externalId})
      if (const auto it = callByExternalId_.find(id); id >= 0 && it != callByExternalId_.end())
        return it->second;
    return calls_.size();
  }

  void tie(const Kernel& k) {
    const auto launch = launches_.find(k.correlation);
    for (int64_t id : {k.externalId, launch == launches_.end() ? -1 : launch->second.externalId})
      if (const auto it = byExternalId_.find(id); id >= 0 && it != byExternalId_.end())
        return trace_.addKernel(it->second, k.name, k.seconds);
    if (launch == launches_.end()) return trace_.addUntied(k.name, k.seconds);
    trace_.addKernelAt(launch->second.thread, launch->second.time, k.name, k.seconds);
  }

  static RankCollective rankCollective(const CollectiveCall& call, const KinetoHeader& header,
                                       int64_t file, double seconds) {
    RankCollective c;
    c.name = call.name;
    if (!call.ranks.empty() || !call.group.empty()) c.group = call.group + " " + call.ranks;
    c.peers = fmt::format("{} {}", call.description, call.size);
    c.ranks = call.size;
    c.rank = header.rank.value_or(file);
    c.host = header.host;
    if (c.host.empty() && header.devices > 0)  // ranks fill nodes in order
      c.host = fmt::format("node {}", c.rank / header.devices);
    c.order = c.group.empty() ? -1 : call.order;
    const int64_t bytes = elementBytes(call.dtype);
    constexpr int64_t kMost = int64_t{1} << 46;
    const auto sized = [&](int64_t n) { return bytes > 0 && n > 0 && n < kMost ? n * bytes : -1; };
    c.inBytes = sized(call.in);
    c.outBytes = sized(call.out);
    c.uneven = call.uneven;
    c.seconds = seconds;
    return c;
  }

  OperatorTrace trace_;
  std::unordered_map<int64_t, size_t> byExternalId_, callByExternalId_;
  std::unordered_map<int64_t, Launch> launches_;  // by correlation
  std::vector<Kernel> kernels_;
  std::vector<NcclKernel> ncclKernels_;
  std::vector<CollectiveCall> calls_;
};

std::string librariesOf(const KinetoHeader& header) {
  std::string text = "pytorch";
  if (!header.cudaVersion.empty()) text += ", cuda " + header.cudaVersion;
  if (!header.ncclVersion.empty()) text += ", nccl " + header.ncclVersion;
  return text;
}

void importRank(const std::string& path, int64_t file, const ImportOptions& options,
                CollectiveMatcher& matcher, ImportCollector& collector) {
  RankTrace trace;
  const KinetoHeader header = trace.read(path);
  const std::string device =
      importedDevice(options, trace.hasKernels() ? header.device.name : std::string(),
                     header.device.memory, header.device.multiprocessors, collector);
  collector.setOrigin({device, {}, librariesOf(header)}, importedSource(path));
  if (!trace.hasKernels()) collector.note("no kernels in " + path + ": the host's times are taken");
  trace.addCollectives(header, file, matcher, collector);
  trace.collectOperators(collector);
}

}  // namespace

void importKineto(const std::vector<std::string>& paths, const ImportOptions& options,
                  ImportCollector& collector) {
  CollectiveMatcher matcher;
  int64_t file = 0;
  for (const std::string& path : paths) try {
      importRank(path, file++, options, matcher, collector);
    } catch (const Error& e) {
      throw e.inFile(path);
    }
  matcher.collect("nccl", collector);
}

}  // namespace meshplan
