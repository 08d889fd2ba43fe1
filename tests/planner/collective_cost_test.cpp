// SPDX-License-Identifier: Apache-2.0
#include "planner/collective_cost.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "planner/link_parameters.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

constexpr CollectiveKind kKinds[] = {CollectiveKind::allReduce, CollectiveKind::reduceScatter,
                                     CollectiveKind::allGather, CollectiveKind::allToAll,
                                     CollectiveKind::broadcast, CollectiveKind::sendReceive};
constexpr const char* kMachines[] = {"dgx-1v",     "dgx-2",         "dgx-a100",     "dgx-h100",
                                     "dgx-b200",   "g5.48xlarge",   "p4d.24xlarge", "p5.48xlarge",
                                     "nd96asr-v4", "a2-highgpu-8g", "cpu-server"};

// `nodes` of a machine, so many ranks of one group in each, the other devices in sibling groups.
GroupTopology group(const std::string& machine, int64_t nodes, int64_t perNode) {
  static std::vector<std::unique_ptr<Cluster>> kept;  // the answer points into its cluster
  kept.push_back(std::make_unique<Cluster>(loadCluster(std::to_string(nodes) + "x" + machine)));
  const Cluster& c = *kept.back();
  const int64_t siblings = c.devicesPerNode() / perNode;
  return describeGroup(c, DeviceMesh(c, {.tensor = siblings, .data = nodes * perNode}),
                       MeshAxis::data);
}

double seconds(CollectiveKind kind, double bytes, const GroupTopology& g) {
  return collectiveCost(kind, Bytes(int64_t(bytes)), g).time.value;
}

template <class Check>
void forAll(Check check) {
  for (const char* machine : kMachines)
    for (int64_t nodes : {1, 2, 4, 16})
      for (int64_t perNode : {1, 2, 4, 8}) {
        if (loadCluster(machine).devicesPerNode() % perNode != 0) continue;
        const GroupTopology g = group(machine, nodes, perNode);
        SCOPED_TRACE(std::string(machine) + " nodes " + std::to_string(nodes) + " per node " +
                     std::to_string(perNode));
        check(g);
      }
}

TEST(CollectiveCost, MoreBytesNeverTakeLess) {
  forAll([](const GroupTopology& g) {
    for (CollectiveKind kind : kKinds)
      for (double s = 8; s < 1e11; s *= 1.5)
        EXPECT_LE(seconds(kind, s, g), seconds(kind, s * 1.5, g))
            << collectiveName(kind) << " " << s;
  });
}

TEST(CollectiveCost, MoreNodesOfTheSameShapeNeverTakeLess) {
  for (const char* machine : kMachines)
    for (int64_t perNode : {1, 2, 8}) {
      if (loadCluster(machine).devicesPerNode() % perNode != 0) continue;
      for (int64_t nodes = perNode == 1 ? 2 : 1; nodes < 32; nodes *= 2) {
        const GroupTopology few = group(machine, nodes, perNode),
                            many = group(machine, 2 * nodes, perNode);
        for (CollectiveKind kind : {CollectiveKind::allReduce, CollectiveKind::reduceScatter,
                                    CollectiveKind::allGather, CollectiveKind::broadcast})
          for (double s = 8; s < 1e11; s *= 4)
            EXPECT_LE(seconds(kind, s, few), seconds(kind, s, many) * (1 + 1e-9))
                << machine << " " << nodes << "x" << perNode << " " << collectiveName(kind) << " "
                << s;
        // All-to-all: equal bytes per rank, which is S / n.
        for (double perRank = 8; perRank < 1e10; perRank *= 4)
          EXPECT_LE(
              seconds(CollectiveKind::allToAll, perRank * double(few.ranks), few),
              seconds(CollectiveKind::allToAll, perRank * double(many.ranks), many) * (1 + 1e-9))
              << machine << " " << nodes << "x" << perNode << " " << perRank;
      }
    }
}

TEST(CollectiveCost, AnAllReduceLiesBetweenAHalfAndTheWholeOfItsTwoHalves) {
  forAll([](const GroupTopology& g) {
    for (double s = 8; s < 1e11; s *= 3) {
      const double halves =
          seconds(CollectiveKind::reduceScatter, s, g) + seconds(CollectiveKind::allGather, s, g);
      const double whole = seconds(CollectiveKind::allReduce, s, g);
      EXPECT_LE(whole, halves * (1 + 1e-12)) << s;
      if (s > 1e9) {  // latencies no longer matter; in-network reduction sends half the bytes
        EXPECT_GE(whole, halves * (g.multicast ? 0.5 : 0.9)) << s;
      }
    }
  });
}

TEST(CollectiveCost, NothingIsFasterThanTheWire) {
  forAll([](const GroupTopology& g) {
    if (g.ranks < 2) return;
    const double node = double(g.ranksPerNode) * g.interBandwidth.value;
    const double bandwidth = std::min(g.ranksPerNode > 1 ? g.intraBandwidth.value : 1e30, node);
    for (CollectiveKind kind : {CollectiveKind::allReduce, CollectiveKind::reduceScatter,
                                CollectiveKind::allGather, CollectiveKind::broadcast})
      for (double s = 8; s < 1e11; s *= 3) {
        const bool inNetwork = g.multicast && kind == CollectiveKind::allReduce;
        EXPECT_GE(seconds(kind, s, g),
                  wireBytes(kind, s, g.ranks) / bandwidth / (inNetwork ? 2 : 1));
      }
    for (double s = 8; s < 1e11; s *= 3)
      EXPECT_GE(seconds(CollectiveKind::sendReceive, s, g),
                s / (g.nodes > 1 ? g.interBandwidth.value : g.intraBandwidth.value));
  });
}

TEST(CollectiveCost, RanksPerNodeMatter) {
  const double packed = seconds(CollectiveKind::allReduce, 1e9, group("dgx-a100", 2, 8));
  const double spread = seconds(CollectiveKind::allReduce, 1e9, group("dgx-a100", 16, 1));
  EXPECT_GT(spread, 3 * packed);
}

TEST(CollectiveCost, OneRankAndNoBytesAreFree) {
  GroupTopology alone;
  EXPECT_EQ(seconds(CollectiveKind::allReduce, 1e9, alone), 0);
  EXPECT_EQ(seconds(CollectiveKind::allGather, 0, group("dgx-a100", 1, 8)), 0);
  EXPECT_EQ(seconds(CollectiveKind::slice, 1e9, group("dgx-a100", 1, 8)), 0);
}

// The fit's own formulas, in another language: what was fitted is what is used.
TEST(CollectiveCost, TheFitPredictsTheSame) {
  std::ifstream in(std::string(MESHPLAN_SOURCE_DIR) + "/tests/golden/collective_times.csv");
  size_t rows = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream fields(line);
    std::string kind, cluster, nodes, ranks, bytes, expected;
    for (std::string* field : {&kind, &cluster, &nodes, &ranks, &bytes, &expected})
      ASSERT_TRUE(std::getline(fields, *field, ','));
    const Cluster c = loadCluster(nodes + "x" + cluster);
    const DeviceMesh mesh(c, {.data = std::stoll(ranks)});
    const double actual =
        seconds(kind == "ar" ? CollectiveKind::allReduce : CollectiveKind::allToAll,
                std::stod(bytes), describeGroup(c, mesh, MeshAxis::data));
    EXPECT_NEAR(actual / std::stod(expected), 1, 1e-3) << line;
    ++rows;
  }
  EXPECT_GT(rows, 100u);
}

TEST(CollectiveCost, AParameterOutOfBoundsIsRefused) {
  LinkSpec link;
  link.name = "bad";
  link.parameters["efficiency"] = {1.5, 0, "test"};
  EXPECT_ANY_THROW(resolveLinkParameters(link));
}

}  // namespace
}  // namespace meshplan
