// SPDX-License-Identifier: Apache-2.0
#include "profiles/cluster_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "core/cluster_json.h"
#include "core/error.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

const Catalog& shelf() {
  static const Catalog catalog = Catalog::builtIn();
  return catalog;
}

std::string errorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string example(const std::string& name) {
  return std::string(MESHPLAN_SOURCE_DIR) + "/examples/clusters/" + name;
}

TEST(ClusterImport, EveryExampleLoadsAndSurvivesTheRoundTrip) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(example(""))) {
    const Cluster c = loadCluster(entry.path().string(),
                                  entry.path().filename() == "hostfile" ? "A100-SXM-80GB" : "");
    EXPECT_GT(c.deviceCount(), 1u);
    const std::string text = clusterToJson(c);
    EXPECT_EQ(clusterToJson(clusterFromJson(text, "t")), text) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 5u);
}

TEST(ClusterImport, AnExampleOfMixedDevicesKeepsBothKinds) {
  const Cluster c = loadCluster(example("mixed-generations.json"));
  EXPECT_FALSE(c.homogeneous());
  EXPECT_EQ(c.spec(DeviceId(0)).name, "H100-SXM");
  EXPECT_EQ(c.spec(DeviceId(7)).name, "A100-SXM-80GB");
  EXPECT_EQ(c.nodeName(NodeId(1)), "ampere");
}

TEST(ClusterImport, TheTextOfNvidiaSmiBecomesItsTopology) {
  const Cluster c = loadCluster(example("four-v100.topo.txt"));
  EXPECT_EQ(c.deviceCount(), 4u);
  EXPECT_EQ(c.spec(DeviceId(0)).name, "V100-SXM2-16GB");
  const auto direct = c.route(DeviceId(0), DeviceId(3));
  ASSERT_EQ(direct.size(), 1u);
  EXPECT_DOUBLE_EQ(c.bandwidth(direct[0]).value, 50e9);
}

TEST(ClusterImport, EqualNvlinksBetweenAllPairsAreASwitch) {
  std::string text = "\tGPU0\tGPU1\tGPU2\tCPU Affinity\n";
  text += "GPU0\tX\tNV18\tNV18\t0-1\nGPU1\tNV18\tX\tNV18\t0-1\nGPU2\tNV18\tNV18\tX\t0-1\n";
  ASSERT_TRUE(isTopology(text));
  const Cluster c = clusterFromTopology(shelf(), text, "H100-SXM");
  const auto path = c.route(DeviceId(0), DeviceId(2));
  ASSERT_EQ(path.size(), 2u);
  EXPECT_DOUBLE_EQ(c.bandwidth(path[0]).value, 450e9);
  EXPECT_TRUE(c.multicast);
}

TEST(ClusterImport, CardsOnTwoSocketsMeetBetweenThem) {
  const std::string text =
      "GPU0 GPU1 GPU2 GPU3\nGPU0 X PIX SYS SYS\nGPU1 PIX X SYS SYS\nGPU2 SYS SYS X PHB\nGPU3 SYS "
      "SYS PHB X\n";
  const Cluster c = clusterFromTopology(shelf(), text, "L4");
  EXPECT_EQ(c.route(DeviceId(0), DeviceId(1)).size(), 2u);  // one PCIe switch
  EXPECT_EQ(c.route(DeviceId(2), DeviceId(3)).size(), 4u);  // their socket
  EXPECT_EQ(c.route(DeviceId(0), DeviceId(2)).size(), 5u);  // both sockets
}

TEST(ClusterImport, BadTopologiesAreRefused) {
  const auto error = [](const std::string& text, const std::string& device = "L4") {
    return errorOf([&] { clusterFromTopology(shelf(), text, device); });
  };
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X PIX\n"), HasSubstr("1 of 2 device rows are missing"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X\nGPU1 PIX X\n"), HasSubstr("cut short"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X FOO\nGPU1 PIX X\n"), HasSubstr("'FOO'"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X NV99999999999\nGPU1 PIX X\n"), HasSubstr("NV99999999999"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X NV2\nGPU1 NV1 X\n"), HasSubstr("disagree"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X PIX\nGPU1 PIX X\n", ""), HasSubstr("--device"));
  EXPECT_THAT(error("GPU0 GPU1\nGPU0 X PIX\nGPU1 PIX X\n", "L5"), HasSubstr("L4"));
}

TEST(ClusterImport, HostfilesOfDeepSpeedAndMpiListNodes) {
  for (const char* text :
       {"worker-1 slots=8\nworker-2 slots=8\n", "# two\nworker-1:8\n\nworker-2:8",
        "worker-1 slots=8 max_slots=8\r\nworker-2 slots=8"}) {
    const Cluster c = clusterFromHostfile(shelf(), text, "H100-SXM");
    EXPECT_EQ(c.deviceCount(), 16u);
    EXPECT_EQ(c.nodeName(NodeId(1)), "worker-2");
  }
}

TEST(ClusterImport, BadHostfilesAreRefused) {
  const auto error = [](const std::string& text, const std::string& device = "H100-SXM") {
    return errorOf([&] { clusterFromHostfile(shelf(), text, device); });
  };
  EXPECT_THAT(error("# nothing\n"), HasSubstr("lists no nodes"));
  EXPECT_THAT(error("a slots=8\n", ""), HasSubstr("--device"));
  EXPECT_THAT(error("a slots=8\nb slots=4\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("a slots=-8\n"), HasSubstr("'-8'"));
  EXPECT_THAT(error("a slots=99999999999999999999\n"), HasSubstr("not a number in range"));
  EXPECT_THAT(error("a slots=0\n"), HasSubstr("no slots"));
  EXPECT_THAT(error("a gpus=8\n"), HasSubstr("'gpus=8'"));
  EXPECT_THAT(error("a slots=8\na slots=8\n"), HasSubstr("listed twice"));
  EXPECT_THAT(error(std::string("\0\1\2", 3)), HasSubstr("not a hostfile"));
}

TEST(ClusterImport, SlurmNodeListsAreExpanded) {
  const Cluster c = loadCluster("slurm:n[01-03,07],gpu5x8xA100-SXM-80GB");
  ASSERT_EQ(c.nodeCount(), 5u);
  EXPECT_EQ(c.nodeName(NodeId(0)), "n01");
  EXPECT_EQ(c.nodeName(NodeId(3)), "n07");
  EXPECT_EQ(c.nodeName(NodeId(4)), "gpu5");
  EXPECT_EQ(c.deviceCount(), 40u);
  EXPECT_EQ(loadCluster("slurm:nx[1-2]x4xRTX-4090:roce-100g").deviceCount(), 8u);
  const std::string text = clusterToJson(c);
  EXPECT_EQ(clusterToJson(clusterFromJson(text, "t")), text);
}

TEST(ClusterImport, BadSlurmListsAreRefused) {
  const auto error = [](const std::string& text) {
    return errorOf([&] { loadCluster("slurm:" + text); });
  };
  EXPECT_THAT(error("n[01-04"), HasSubstr("names no devices"));
  EXPECT_THAT(error("n[01-04x8xL4"), HasSubstr("not closed"));
  EXPECT_THAT(error("n[04-01]x8xL4"), HasSubstr("backwards"));
  EXPECT_THAT(error("n[1-99999999]x8xL4"), HasSubstr("too many nodes"));
  EXPECT_THAT(error("n[1,1]x8xL4"), HasSubstr("listed twice"));
  EXPECT_THAT(error("n[1-2]x0xL4"), HasSubstr("no devices"));
  EXPECT_THAT(error("n[1-2]x8xL44"), HasSubstr("L4"));
  EXPECT_THAT(error(""), HasSubstr("names no devices"));
}

class BadFile : public testing::Test {
 protected:
  std::string errorOfFile(const std::string& text, const std::string& name = "c.json") {
    path_ = testing::TempDir() + "meshplan_bad_" + name;
    std::ofstream(path_, std::ios::binary) << text;
    return errorOf([&] { loadCluster(path_); });
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(BadFile, IsOneErrorThatNamesFileAndPlace) {
  EXPECT_THAT(errorOfFile(""), HasSubstr("the file is empty"));
  EXPECT_THAT(errorOfFile("{\"schema_version\": 1, \"node\""),
              HasSubstr(path_ + ": not valid JSON"));
  EXPECT_THAT(errorOfFile(R"({"schema_version": 1, "node": "dgx-h10"})"), HasSubstr("'dgx-h100'"));
  EXPECT_THAT(errorOfFile(R"({"schema_version": 1, "node": "dgx-h100", "nodes": 0})"),
              HasSubstr("nodes"));
  EXPECT_THAT(errorOfFile(R"({"schema_version": 1, "node": "dgx-h100", "nodse": 2})"),
              HasSubstr("'nodes'"));
  EXPECT_THAT(errorOfFile(R"({"schema_version": 1, "node": {"base": "dgx-h100", "devices": -1}})"),
              HasSubstr("node.devices"));
  EXPECT_THAT(
      errorOfFile(
          R"({"schema_version": 1, "node": {"base": "dgx-1v", "interconnect": {"link": "nvlink2",
      "matrix": [[0, 1], [2, 0]]}}})"),
      HasSubstr("disagree"));
  EXPECT_THAT(errorOfFile(R"({"schema_version": 1, "node": {"devices": 2}})"), HasSubstr("memory"));
  EXPECT_THAT(errorOfFile(std::string(100, '\0')), HasSubstr(path_));
  EXPECT_THAT(errorOf([] { loadCluster("/no/such/cluster.json"); }),
              HasSubstr("/no/such/cluster.json"));
  EXPECT_THAT(errorOf([] { loadCluster("/tmp/"); }), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace meshplan
