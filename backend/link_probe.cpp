// SPDX-License-Identifier: Apache-2.0
#include "backend/link_probe.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "backend/link_fit.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kLeastSamples = 7, kMostSamples = 200;
constexpr int kWarmUps = 2;
constexpr int64_t kGrowth = 4;
// What is issued together before a device is waited for.
constexpr int64_t kMostTogether = 32;
constexpr double kTogetherSeconds = 1e-3;
constexpr double kLongest = 5;  // times the time per size
// Bounds of planner/link_parameters.cpp.
constexpr double kLeastShare = 0.01, kMostLatency = 1e-2;

double steadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Elements of `bytes` for each pair of ranks, rounded up.
int64_t shareOf(int64_t bytes, int ranks) {
  return ceilDiv(bytes, int64_t{4} * ranks * ranks);
}

/// Two pieces of memory for `most` bytes, of the hosts or a device.
class ProbeMemory {
 public:
  ProbeMemory(RankParts* parts, int64_t most, int ranks) : parts_(parts) {
    const int64_t count = shareOf(most, ranks) * ranks * ranks;
    if (parts) {
      a_ = allocate(count);
      b_ = allocate(count);
      return;
    }
    hosts_.resize(static_cast<size_t>(2 * count));
    a_ = hosts_.data();
    b_ = a_ + count;
  }

  float* a() const { return a_; }
  float* b() const { return b_; }
  /// Until all that was issued has ended.
  void settle() const {
    float word = 0;
    if (parts_) parts_->device->download(&word, a_, sizeof word);
  }

 private:
  float* allocate(int64_t count) const {
    return static_cast<float*>(parts_->device->allocate(count * 4, "measuring links"));
  }

  RankParts* parts_;
  std::vector<float> hosts_;
  float *a_ = nullptr, *b_ = nullptr;
};

/// One kind at one size between all ranks, again and again.
class Exchange {
 public:
  Exchange(Communicator& data, const ProbeMemory& memory, CollectiveKind kind, int64_t bytes)
      : data_(data),
        kind_(kind),
        share_(shareOf(bytes, data.size())),
        part_(share_ * data.size()),
        a_(memory.a()),
        b_(memory.b()) {}

  /// Rounded up to whole numbers for every rank.
  int64_t bytes() const { return part_ * data_.size() * 4; }
  /// How many operations a call of `once` is.
  int operations() const { return kind_ == CollectiveKind::sendReceive ? 2 : 1; }

  void once() {
    switch (kind_) {
      case CollectiveKind::allReduce:
        return data_.allReduce(a_, part_ * data_.size(), DType::f32, ReduceOp::sum);
      case CollectiveKind::reduceScatter:
        return data_.reduceScatter(a_, b_, part_, DType::f32);
      case CollectiveKind::allGather:
        return data_.allGather(a_, b_, part_ * 4);
      case CollectiveKind::allToAll:
        return data_.allToAll(a_, b_, share_ * 4);
      case CollectiveKind::broadcast:
        return data_.broadcast(a_, bytes(), root_++ % data_.size());
      case CollectiveKind::sendReceive:
        return thereAndBack();
      case CollectiveKind::none:
      case CollectiveKind::slice:
        break;
    }
  }

 private:
  void thereAndBack() {
    if (data_.rank() == 0) data_.send(a_, bytes(), 1);
    if (data_.rank() < 2) data_.receive(b_, bytes(), 1 - data_.rank());
    if (data_.rank() == 1) data_.send(b_, bytes(), 0);
  }

  Communicator& data_;
  const CollectiveKind kind_;
  const int64_t share_, part_;  // elements: of a part for each rank; of a rank
  int root_ = 0;
  float *a_, *b_;
};

class Probe {
 public:
  Probe(Communicator& world, const CollectiveMeasurement& like, const LinkProbeOptions& options)
      : world_(world),
        like_(like),
        options_(options),
        data_(options.parts && options.parts->data ? *options.parts->data : world),
        memory_(options.parts, options.most.value, world.size()),
        clock_(options.clock ? options.clock : steadySeconds) {}

  std::vector<CollectiveMeasurement> sweep(CollectiveKind kind) {
    std::vector<CollectiveMeasurement> rows;
    for (int64_t bytes = options_.least.value; bytes <= options_.most.value; bytes *= kGrowth) {
      Exchange exchange(data_, memory_, kind, bytes);
      rows.push_back(like_);
      rows.back().kind = kind;
      rows.back().bytes = Bytes(exchange.bytes());
      rows.back().ranks = kind == CollectiveKind::sendReceive ? 2 : world_.size();
      rows.back().samples = summarise(measure(exchange));
      if (rows.back().samples.median > options_.perSize * kLongest) break;
    }
    return rows;
  }

 private:
  std::vector<double> measure(Exchange& exchange) {
    const double first = std::max(intervals(exchange, kWarmUps, 1).back(), 1e-9);
    const int64_t together =
        options_.parts ? agreed(kTogetherSeconds / first, 1, kMostTogether) : 1;
    const int64_t count = agreed(options_.perSize.value / first / static_cast<double>(together),
                                 kLeastSamples, kMostSamples);
    std::vector<double> seconds = intervals(exchange, count, together);
    world_.broadcast(seconds.data(), count * static_cast<int64_t>(sizeof(double)), 0);
    return seconds;
  }

  /// As rank 0 has it.
  int64_t agreed(double wanted, int64_t least, int64_t most) {
    auto count = static_cast<int64_t>(
        std::clamp(wanted, static_cast<double>(least), static_cast<double>(most)));
    world_.broadcast(&count, sizeof count, 0);
    return count;
  }

  std::vector<double> intervals(Exchange& exchange, int64_t count, int64_t together) {
    world_.barrier();
    exchange.once();
    memory_.settle();
    std::vector<double> seconds;
    for (double last = clock_(); static_cast<int64_t>(seconds.size()) < count;) {
      for (int64_t i = 0; i < together; ++i) exchange.once();
      memory_.settle();
      const double now = clock_();
      seconds.push_back((now - last) / static_cast<double>(together * exchange.operations()));
      last = now;
    }
    return seconds;
  }

  Communicator& world_;
  const CollectiveMeasurement& like_;
  const LinkProbeOptions& options_;
  Communicator& data_;
  const ProbeMemory memory_;
  const std::function<double()> clock_;
};

LinkFit fitTo(const std::vector<CollectiveMeasurement>& rows, CollectiveKind kind) {
  std::vector<TransferTime> points;
  for (const CollectiveMeasurement& row : rows)
    if (row.kind == kind)
      points.push_back({wireBytes(kind, static_cast<double>(row.bytes.value), row.ranks),
                        std::max(row.samples.median.value, 1e-9)});
  return fitLink(points);
}

int64_t ranksOf(const std::vector<CollectiveMeasurement>& rows, CollectiveKind kind) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const CollectiveMeasurement& r) { return r.kind == kind; });
  return found->ranks;
}

LinkSpec linkOf(LinkKind kind, const std::vector<CollectiveMeasurement>& rows) {
  const LinkFit transfer = fitTo(rows, CollectiveKind::sendReceive);
  const LinkFit ring = fitTo(rows, CollectiveKind::allReduce);
  // A ring or tree of two ranks takes two steps, of n on one node 2(n-1).
  const auto ranks = static_cast<double>(ranksOf(rows, CollectiveKind::allReduce));
  const double step = std::clamp((ring.latency - transfer.latency).value / (2 * ranks - 3), 0.0,
                                 transfer.latency.value);
  LinkSpec link;
  link.name = rows.front().transport;
  link.kind = kind;
  link.latency = Seconds(step);
  link.bandwidth = std::max(transfer.bandwidth, ring.bandwidth);
  link.source =
      fmt::format("measured: {} on {}", rows.front().transport, rows.front().environment.device);
  const double deviation = std::max(transfer.deviation, ring.deviation);
  const auto set = [&](const char* name, double value) {
    link.parameters[name] = {value, deviation, link.source};
  };
  set("transfer_efficiency", std::max(transfer.bandwidth / link.bandwidth, kLeastShare));
  set("efficiency", std::max(ring.bandwidth / link.bandwidth, kLeastShare));
  set("tree_efficiency", 1);
  set("pass_bandwidth", 1e15);
  set("base_latency", std::min(transfer.latency.value - step, kMostLatency));
  for (const char* name : {"hop_latency", "tree_hop_latency", "chunk_hop_latency",
                           "protocol_latency", "pipeline_latency", "transfer_latency"})
    set(name, 0);
  set("collective_uncertainty", std::min(deviation, 10.0));
  return link;
}

}  // namespace

LinkProbe probeLink(Communicator& world, LinkKind kind, const CollectiveMeasurement& like,
                    const LinkProbeOptions& options) {
  if (world.size() < 2)
    throw Error(ErrorKind::usage, "a link joins two ranks, and there is one", "start two ranks");
  std::set<CollectiveKind> kinds(options.kinds.begin(), options.kinds.end());
  kinds.insert({CollectiveKind::sendReceive, CollectiveKind::allReduce});
  Probe probe(world, like, options);
  LinkProbe result;
  for (CollectiveKind k : kinds) {
    const auto rows = probe.sweep(k);
    result.rows.insert(result.rows.end(), rows.begin(), rows.end());
  }
  result.link = linkOf(kind, result.rows);
  return result;
}

}  // namespace meshplan
