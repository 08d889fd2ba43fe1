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
constexpr double kLongest = 5;  // times the time per size
// Bounds of planner/link_parameters.cpp.
constexpr double kLeastShare = 0.01, kMostLatency = 1e-2;

double steadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One kind at one size between all ranks, again and again.
class Exchange {
 public:
  Exchange(Communicator& world, CollectiveKind kind, int64_t bytes)
      : world_(world),
        kind_(kind),
        share_(ceilDiv(bytes, int64_t{4} * world.size() * world.size())),
        part_(share_ * world.size()),
        a_(static_cast<size_t>(part_ * world.size()), 0.f),
        b_(a_) {}

  /// Rounded up to whole numbers for every rank.
  int64_t bytes() const { return static_cast<int64_t>(a_.size()) * 4; }
  /// How many operations a call of `once` is.
  int operations() const { return kind_ == CollectiveKind::sendReceive ? 2 : 1; }

  void once() {
    switch (kind_) {
      case CollectiveKind::allReduce:
        return world_.allReduce(a_.data(), part_ * world_.size(), DType::f32, ReduceOp::sum);
      case CollectiveKind::reduceScatter:
        return world_.reduceScatter(a_.data(), b_.data(), part_, DType::f32);
      case CollectiveKind::allGather:
        return world_.allGather(a_.data(), b_.data(), part_ * 4);
      case CollectiveKind::allToAll:
        return world_.allToAll(a_.data(), b_.data(), share_ * 4);
      case CollectiveKind::broadcast:
        return world_.broadcast(a_.data(), bytes(), root_++ % world_.size());
      case CollectiveKind::sendReceive:
        return thereAndBack();
      case CollectiveKind::none:
      case CollectiveKind::slice:
        break;
    }
  }

 private:
  void thereAndBack() {
    if (world_.rank() == 0) world_.send(a_.data(), bytes(), 1);
    if (world_.rank() < 2) world_.receive(b_.data(), bytes(), 1 - world_.rank());
    if (world_.rank() == 1) world_.send(b_.data(), bytes(), 0);
  }

  Communicator& world_;
  const CollectiveKind kind_;
  const int64_t share_, part_;  // elements: of a part for each rank; of a rank
  int root_ = 0;
  std::vector<float> a_, b_;
};

class Probe {
 public:
  Probe(Communicator& world, const CollectiveMeasurement& like, const LinkProbeOptions& options)
      : world_(world),
        like_(like),
        options_(options),
        clock_(options.clock ? options.clock : steadySeconds) {}

  std::vector<CollectiveMeasurement> sweep(CollectiveKind kind) {
    std::vector<CollectiveMeasurement> rows;
    for (int64_t bytes = options_.least.value; bytes <= options_.most.value; bytes *= kGrowth) {
      Exchange exchange(world_, kind, bytes);
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
    const std::vector<double> first = intervals(exchange, kWarmUps);
    const double wanted = options_.perSize.value / std::max(first.back(), 1e-9);
    auto count = static_cast<int64_t>(
        std::clamp(wanted, static_cast<double>(kLeastSamples), static_cast<double>(kMostSamples)));
    world_.broadcast(&count, sizeof count, 0);
    std::vector<double> seconds = intervals(exchange, count);
    world_.broadcast(seconds.data(), count * static_cast<int64_t>(sizeof(double)), 0);
    return seconds;
  }

  std::vector<double> intervals(Exchange& exchange, int64_t count) {
    world_.barrier();
    exchange.once();
    std::vector<double> seconds;
    for (double last = clock_(); static_cast<int64_t>(seconds.size()) < count;) {
      exchange.once();
      const double now = clock_();
      seconds.push_back((now - last) / exchange.operations());
      last = now;
    }
    return seconds;
  }

  Communicator& world_;
  const CollectiveMeasurement& like_;
  const LinkProbeOptions& options_;
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
