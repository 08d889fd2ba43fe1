// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>

#include "planner/cost_model.h"
#include "planner/ring_packing.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

GroupTopology describe(const std::string& cluster, MeshShape shape, MeshAxes axes) {
  static std::vector<std::unique_ptr<Cluster>> kept;  // the answer points into its cluster
  kept.push_back(std::make_unique<Cluster>(loadCluster(cluster)));
  return describeGroup(*kept.back(), DeviceMesh(*kept.back(), shape), axes);
}

TEST(GroupTopology, TensorParallelismInANodeHasTheWholeNvlink) {
  const GroupTopology g = describe("2x8xA100-SXM-80GB", {.tensor = 8, .data = 2}, MeshAxis::tensor);
  EXPECT_EQ(g.ranks, 8);
  EXPECT_EQ(g.nodes, 1);
  EXPECT_EQ(g.ranksPerNode, 8);
  EXPECT_EQ(g.intraKind, LinkKind::nvswitch);
  EXPECT_DOUBLE_EQ(g.intraBandwidth.value, 300e9);
  EXPECT_EQ(g.interLink, nullptr);
  EXPECT_FALSE(g.multicast);
}

TEST(GroupTopology, DataParallelismAcrossNodesSharesTheAdapters) {
  const MeshShape shape{.tensor = 8, .data = 16};
  const GroupTopology eight = describe("16x8xA100-SXM-80GB", shape, MeshAxis::data);
  EXPECT_EQ(eight.nodes, 16);
  EXPECT_EQ(eight.ranksPerNode, 1);
  EXPECT_EQ(eight.interKind, LinkKind::infiniband);
  EXPECT_DOUBLE_EQ(eight.interBandwidth.value, 25e9);
  const GroupTopology one = describe("16x8xA100-SXM-80GB:ethernet-100g", shape, MeshAxis::data);
  EXPECT_DOUBLE_EQ(one.interBandwidth.value, 12.5e9 / 8);
  const GroupTopology four = describe("16xp4d.24xlarge", shape, MeshAxis::data);
  EXPECT_DOUBLE_EQ(four.interBandwidth.value, 12.5e9 / 2);
}

TEST(GroupTopology, AGroupThatFillsNodesLeavesThemOverAllAdapters) {
  const GroupTopology g = describe("4x8xH100-SXM", {.data = 32}, MeshAxis::data);
  EXPECT_EQ(g.nodes, 4);
  EXPECT_EQ(g.ranksPerNode, 8);
  EXPECT_DOUBLE_EQ(g.intraBandwidth.value, 450e9);
  EXPECT_DOUBLE_EQ(g.interBandwidth.value, 50e9);
  EXPECT_TRUE(g.multicast);
}

TEST(GroupTopology, TheHybridCubeMeshHasAsManyRingsAsItsLinksAllow) {
  const auto bandwidth = [](int64_t ranks) {
    return describe("dgx-1v", {.data = ranks}, MeshAxis::data).intraBandwidth.value / 25e9;
  };
  EXPECT_DOUBLE_EQ(bandwidth(2), 1);
  EXPECT_DOUBLE_EQ(bandwidth(3), 2);
  EXPECT_DOUBLE_EQ(bandwidth(4), 4);
  EXPECT_DOUBLE_EQ(bandwidth(5), 2 * 0.82);  // device 0 forwards to device 4
  EXPECT_DOUBLE_EQ(bandwidth(6), 2);
  EXPECT_DOUBLE_EQ(bandwidth(7), 4);
  EXPECT_DOUBLE_EQ(bandwidth(8), 6);
}

TEST(GroupTopology, PcieCardsShareTheirSocketLink) {
  const GroupTopology all = describe("8xRTX-4090", {.data = 8}, MeshAxis::data);
  EXPECT_EQ(all.intraKind, LinkKind::pcie);
  EXPECT_NEAR(all.intraBandwidth.value, 31.5e9, 1e8);
  // Four pairs over the socket link at once.
  const GroupTopology pairs = describe("8xRTX-4090", {.tensor = 4, .data = 2}, MeshAxis::data);
  EXPECT_NEAR(pairs.intraBandwidth.value, 96e9 / 4, 1e8);
}

TEST(GroupTopology, AnOversubscribedSpineHalvesWhatCrossesIt) {
  const std::string file = MESHPLAN_SOURCE_DIR "/examples/clusters/oversubscribed-a100.json";
  // 64 nodes, 16 to a leaf. Groups of 16 nodes stay under their leaf.
  const GroupTopology leaf =
      describe(file, {.tensor = 8, .data = 16, .pipeline = 4}, MeshAxis::data);
  EXPECT_DOUBLE_EQ(leaf.interBandwidth.value, 25e9);
  // A pipeline whose neighbours are 16 nodes apart crosses with everything it has.
  const GroupTopology spine =
      describe(file, {.tensor = 8, .data = 16, .pipeline = 4}, MeshAxis::pipeline);
  EXPECT_DOUBLE_EQ(spine.interBandwidth.value, 12.5e9);
  // A ring through all nodes in order crosses at one node in sixteen only.
  const GroupTopology all = describe(file, {.tensor = 8, .data = 64}, MeshAxis::data);
  EXPECT_DOUBLE_EQ(all.interBandwidth.value, 25e9);
}

TEST(GroupTopology, PackingRingsOfACompleteGraphDecomposesIt) {
  const auto complete = [](size_t n, uint32_t width) {
    std::vector<std::vector<uint32_t>> m(n, std::vector<uint32_t>(n, width));
    for (size_t i = 0; i < n; ++i) m[i][i] = 0;
    return m;
  };
  EXPECT_EQ(packRings(complete(2, 3)), 3);
  EXPECT_EQ(packRings(complete(3, 2)), 2);
  EXPECT_EQ(packRings(complete(5, 1)), 2);  // (n-1)/2 Hamiltonian cycles (Walecki)
  EXPECT_EQ(packRings(complete(7, 1)), 3);
  EXPECT_EQ(packRings(complete(8, 1)), 3);
  EXPECT_EQ(packRings(complete(4, 4)), 4);
  EXPECT_EQ(packRings({{0, 1, 0}, {1, 0, 1}, {0, 1, 0}}), 0);
}

TEST(GroupTopology, AThousandDevicesAreDescribedQuickly) {
  for (const auto& [preset, shape] :
       {std::pair{"128x8xA100-SXM-80GB", MeshShape{.tensor = 8, .data = 16, .pipeline = 8}},
        std::pair{"2048xdgx-h100", MeshShape{.tensor = 8, .data = 128, .pipeline = 16}}}) {
    const Cluster c = loadCluster(preset);
    const DeviceMesh mesh(c, shape);
    for (MeshAxis a : {MeshAxis::tensor, MeshAxis::data, MeshAxis::pipeline}) {
      const auto start = std::chrono::steady_clock::now();
      const GroupTopology g = describeGroup(c, mesh, a);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      std::printf("%s %s: %.3f ms\n", preset, std::string(meshAxisName(a)).c_str(),
                  took.count() * 1e3);
      EXPECT_GT(g.ranks, 1);
      EXPECT_LT(took.count(), 0.3);  // 1 and 10 ms optimised and undisturbed
    }
  }
}

}  // namespace
}  // namespace meshplan
