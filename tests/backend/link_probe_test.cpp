// SPDX-License-Identifier: Apache-2.0
#include "backend/link_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <tuple>

#include "backend/comm/in_process.h"
#include "backend/link_fit.h"
#include "core/error.h"
#include "planner/collective_cost.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

std::vector<TransferTime> pointsOf(double latency, double bandwidth, int count = 8) {
  std::vector<TransferTime> points;
  for (int i = 0; i < count; ++i) {
    const double bytes = 1024 * std::pow(4, i);
    points.push_back({bytes, latency + bytes / bandwidth});
  }
  return points;
}

TEST(LinkFit, FindsEveryExactLine) {
  for (double latency : {0.0, 1e-7, 2e-5, 3e-3})
    for (double bandwidth : {1e6, 1.25e7, 4e9, 9e11}) {
      const LinkFit fit = fitLink(pointsOf(latency, bandwidth));
      EXPECT_NEAR(fit.latency.value, latency, 1e-6 * (latency + 1024 / bandwidth));
      EXPECT_NEAR(fit.bandwidth.value / bandwidth, 1, 1e-6);
      EXPECT_LT(fit.deviation, 1e-6);
    }
}

TEST(LinkFit, ADisturbedTimeDoesNotMoveIt) {
  for (size_t at = 0; at < 8; ++at)
    for (double factor : {0.3, 3.0, 100.0}) {
      auto points = pointsOf(2e-5, 1e9);
      points[at].seconds *= factor;
      const LinkFit fit = fitLink(points);
      EXPECT_NEAR(fit.latency.value, 2e-5, 1e-9) << at << " times " << factor;
      EXPECT_NEAR(fit.bandwidth.value, 1e9, 1e5) << at << " times " << factor;
    }
}

TEST(LinkFit, DoesNotDependOnTheOrderOrTheUnit) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> noise(0.8, 1.25);
  for (int i = 0; i < 50; ++i) {
    auto points = pointsOf(1e-5 * i, 1e8);
    for (TransferTime& p : points) p.seconds *= noise(random);
    const LinkFit fit = fitLink(points);
    std::shuffle(points.begin(), points.end(), random);
    for (TransferTime& p : points) p.seconds *= 1000;
    const LinkFit other = fitLink(points);
    EXPECT_NEAR(other.latency.value, 1000 * fit.latency.value, 1e-6 * other.seconds(1024));
    EXPECT_NEAR(other.bandwidth.value * 1000 / fit.bandwidth.value, 1, 1e-6);
    EXPECT_LT(fit.deviation, 0.25);
  }
}

TEST(LinkFit, NeverHasTimesThatFallOrStartBelowZero) {
  for (const auto& points : {std::vector<TransferTime>{{1, 3}, {4, 2}, {16, 1}},
                             std::vector<TransferTime>{{1, 1}, {4, 9}, {16, 81}},
                             std::vector<TransferTime>{{1, 1}, {4, 1}, {16, 1}}}) {
    const LinkFit fit = fitLink(points);
    EXPECT_GE(fit.latency.value, 0);
    EXPECT_GT(fit.bandwidth.value, 0);
    EXPECT_LE(fit.bandwidth.value, 1e15);
  }
}

TEST(LinkFit, RefusesWhatIsNoSweep) {
  const double infinite = std::numeric_limits<double>::infinity();
  for (const auto& points :
       {std::vector<TransferTime>{}, std::vector<TransferTime>{{4, 1}, {4, 2}},
        std::vector<TransferTime>{{4, 0}, {8, 1}}, std::vector<TransferTime>{{4, 1}, {8, infinite}},
        std::vector<TransferTime>{{-4, 1}, {8, 1}}})
    EXPECT_THROW(fitLink(points), Error);
}

/// Rank 0 of a group whose operations take known times on a clock of its own; the others are not
/// there. Every tenth operation is disturbed.
class FakeRanks : public Communicator {
 public:
  FakeRanks(int ranks, double latency, double bandwidth, double noise = 0)
      : ranks_(ranks), latency_(latency), bandwidth_(bandwidth), noise_(noise) {}

  double now() const { return now_; }

  int rank() const override { return 0; }
  int size() const override { return ranks_; }
  int worldRank(int member) const override { return member; }
  std::unique_ptr<Communicator> split(int) override { return nullptr; }
  void allReduce(void*, int64_t count, DType type, ReduceOp) override {
    take(CollectiveKind::allReduce, 2 * (ranks_ - 1), count * dtypeBytes(type));
  }
  void reduceScatter(const void*, void*, int64_t count, DType type) override {
    take(CollectiveKind::reduceScatter, ranks_ - 1, ranks_ * count * dtypeBytes(type));
  }
  void allGather(const void*, void*, int64_t bytes) override {
    take(CollectiveKind::allGather, ranks_ - 1, ranks_ * bytes);
  }
  void allToAll(const void*, void*, int64_t bytes) override {
    take(CollectiveKind::allToAll, 1, ranks_ * ranks_ * bytes);
  }
  void broadcast(void*, int64_t bytes, int) override { take(CollectiveKind::broadcast, 1, bytes); }
  void send(const void*, int64_t bytes, int) override {
    take(CollectiveKind::sendReceive, 1, bytes);
  }
  void receive(void*, int64_t bytes, int) override { take(CollectiveKind::sendReceive, 1, bytes); }
  void barrier() override {}
  void abort(const std::string&) override {}

 private:
  void take(CollectiveKind kind, int steps, int64_t bytes) {
    const double seconds =
        steps * latency_ + wireBytes(kind, static_cast<double>(bytes), ranks_) / bandwidth_;
    const double disturbance = ++calls_ % 10 == 0 ? 20 : 1;
    now_ += seconds * disturbance * (1 + noise_ * std::normal_distribution<double>()(random_));
  }

  const int ranks_;
  const double latency_, bandwidth_, noise_;
  double now_ = 0;
  int calls_ = 0;
  std::mt19937 random_{5};
};

CollectiveMeasurement rowLike(const std::string& transport) {
  CollectiveMeasurement like;
  like.environment = {"a device", "a machine", "a library"};
  like.source = {Origin::measured, "a test", 1234};
  like.transport = transport;
  like.nodes = 1;
  return like;
}

LinkProbe probe(FakeRanks& ranks, LinkProbeOptions options = {},
                LinkKind kind = LinkKind::ethernet) {
  options.clock = [&] { return ranks.now(); };
  return probeLink(ranks, kind, rowLike("sockets"), options);
}

const std::vector<CollectiveKind> kAllKinds{
    CollectiveKind::allReduce, CollectiveKind::reduceScatter, CollectiveKind::allGather,
    CollectiveKind::allToAll,  CollectiveKind::broadcast,     CollectiveKind::sendReceive};

TEST(LinkProbe, MeasuresWhatALinkCosts) {
  for (int ranks : {2, 4, 8})
    for (double latency : {1e-6, 5e-5})
      for (double bandwidth : {2e7, 3e9}) {
        FakeRanks fake(ranks, latency, bandwidth, 0.02);
        const LinkSpec link = probe(fake).link;
        const double base = link.parameters.at("base_latency").value;
        EXPECT_NEAR(link.latency.value + base, latency, 0.02 * (latency + 64 / bandwidth));
        const double sends = link.bandwidth.value * link.parameters.at("transfer_efficiency").value;
        EXPECT_NEAR(sends / bandwidth, 1, 0.02);
        const double rings = link.bandwidth.value * link.parameters.at("efficiency").value;
        EXPECT_NEAR(rings / bandwidth, 1, 0.02);
        EXPECT_LT(link.parameters.at("collective_uncertainty").value, 0.02);
      }
}

TEST(LinkProbe, ItsRowsAreMediansOfEveryKindAndSize) {
  FakeRanks fake(4, 1e-5, 1e9, 0.02);
  LinkProbeOptions options;
  options.kinds = kAllKinds;
  options.least = Bytes(256);
  options.most = Bytes(1 << 20);
  const LinkProbe result = probe(fake, options);
  std::set<std::tuple<CollectiveKind, int64_t>> seen;
  for (const CollectiveMeasurement& row : result.rows) {
    const bool pair = row.kind == CollectiveKind::sendReceive;
    EXPECT_EQ(row.ranks, pair ? 2 : 4);
    EXPECT_EQ(row.environment, rowLike("").environment);
    EXPECT_EQ(row.source.time, 1234);
    EXPECT_GE(row.samples.count, 7);
    const int steps =
        row.kind == CollectiveKind::allReduce                                                ? 6
        : row.kind == CollectiveKind::allGather || row.kind == CollectiveKind::reduceScatter ? 3
                                                                                             : 1;
    const double expected =
        steps * 1e-5 + wireBytes(row.kind, static_cast<double>(row.bytes.value), 4) / 1e9;
    EXPECT_NEAR(row.samples.median.value / expected, 1, 0.03)
        << collectiveName(row.kind) << " of " << row.bytes.value;
    seen.emplace(row.kind, row.bytes.value);
  }
  EXPECT_EQ(seen.size(), result.rows.size());
  EXPECT_EQ(seen.size(), 6u * 7u);
}

TEST(LinkProbe, EndsASweepThatTakesTooLong) {
  FakeRanks fake(2, 1e-4, 1e6);
  const double before = fake.now();
  const LinkProbe result = probe(fake);
  EXPECT_LT(fake.now() - before, 60);  // 16 MiB would take minutes
  EXPECT_NEAR(result.link.bandwidth.value, 1e6, 1e4);
}

/// Two devices joined by the link that was measured.
GroupTopology pairJoinedBy(const LinkSpec& link, bool network) {
  GroupTopology group;
  group.ranks = 2;
  group.nodes = network ? 2 : 1;
  group.ranksPerNode = network ? 1 : 2;
  (network ? group.interBandwidth : group.intraBandwidth) = link.bandwidth;
  (network ? group.interLatency : group.intraLatency) = link.latency;
  (network ? group.interLink : group.intraLink) = &link;
  return group;
}

TEST(LinkProbe, ItsLinkPredictsWhatWasMeasured) {
  for (const bool network : {false, true})
    for (double bandwidth : {1.25e7, 2e9}) {
      FakeRanks fake(2, 2e-5, bandwidth);
      const LinkProbe result = probe(fake, {}, network ? LinkKind::ethernet : LinkKind::memory);
      const GroupTopology group = pairJoinedBy(result.link, network);
      for (const CollectiveMeasurement& row : result.rows) {
        const double predicted = collectiveCost(row.kind, row.bytes, group).time.value;
        EXPECT_NEAR(predicted / row.samples.median.value, 1, 0.01)
            << collectiveName(row.kind) << " of " << row.bytes.value << (network ? " far" : "");
      }
    }
}

TEST(LinkProbe, IsTheSameOnAllRanks) {
  for (int ranks : {2, 3}) {
    std::vector<LinkProbe> results(static_cast<size_t>(ranks));
    LinkProbeOptions options;
    options.kinds = kAllKinds;
    options.most = Bytes(1 << 18);
    options.perSize = Seconds(1e-3);
    runInProcess(ranks, [&](Communicator& world) {
      results[static_cast<size_t>(world.rank())] =
          probeLink(world, LinkKind::memory, rowLike("threads"), options);
    });
    const LinkProbe& first = results.front();
    EXPECT_GE(first.rows.size(), 6u * 2u);
    EXPECT_GT(first.link.bandwidth.value, 0);
    for (const LinkProbe& other : results) {
      ASSERT_EQ(other.rows.size(), first.rows.size());
      EXPECT_EQ(other.link.latency, first.link.latency);
      EXPECT_EQ(other.link.bandwidth, first.link.bandwidth);
      for (size_t i = 0; i < first.rows.size(); ++i) {
        EXPECT_EQ(other.rows[i].bytes, first.rows[i].bytes);
        EXPECT_EQ(other.rows[i].samples.median, first.rows[i].samples.median);
        EXPECT_GT(other.rows[i].samples.median.value, 0);
      }
    }
  }
}

TEST(LinkProbe, NeedsTwoRanks) {
  FakeRanks alone(1, 1e-6, 1e9);
  EXPECT_THROW(probe(alone), Error);
}

}  // namespace
}  // namespace meshplan
