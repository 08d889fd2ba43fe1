// SPDX-License-Identifier: Apache-2.0
#include "core/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "core/cluster_json.h"
#include "core/device_mesh.h"
#include "core/error.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

DeviceSpec device() {
  DeviceSpec s;
  s.name = "D";
  s.memory = Bytes(1 << 30);
  s.memoryBandwidth = BytesPerSecond(1e9);
  s.vectorPeak = FlopsPerSecond(1e12);
  return s;
}

LinkSpec link(double bandwidth, double latency) {
  LinkSpec s;
  s.name = "L";
  s.bandwidth = BytesPerSecond(bandwidth);
  s.latency = Seconds(latency);
  return s;
}

std::string errorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "no error";
}

TEST(Cluster, TheRouteIsTheWidestAndThenTheFastest) {
  Cluster c;
  const uint32_t d = c.addSpec(device());
  const NodeId n = c.addNode("n");
  const DeviceId a = c.addDevice(d, n), b = c.addDevice(d, n);
  const auto hub = c.addSwitch("hub", n), slowHub = c.addSwitch("slow", n);
  const uint32_t narrow = c.addLinkSpec(link(1e9, 1e-9)), wide = c.addLinkSpec(link(2e9, 1e-6)),
                 wideSlow = c.addLinkSpec(link(2e9, 1e-5));
  const auto narrowHub = c.addSwitch("narrow", n);
  c.addLink(c.vertex(a), narrowHub, narrow);
  c.addLink(narrowHub, c.vertex(b), narrow);
  const LinkId up = c.addLink(c.vertex(a), hub, wide), down = c.addLink(hub, c.vertex(b), wide);
  c.addLink(c.vertex(a), slowHub, wideSlow);
  c.addLink(slowHub, c.vertex(b), wideSlow);
  EXPECT_THAT(c.route(a, b), ElementsAre(up, down));
  EXPECT_THAT(c.route(b, a), ElementsAre(down, up));
  EXPECT_TRUE(c.route(a, a).empty());
  const LinkId direct = c.addLink(c.vertex(a), c.vertex(b), narrow);
  EXPECT_THAT(c.route(a, b), ElementsAre(direct));
}

TEST(Cluster, WidthMultipliesBandwidth) {
  Cluster c;
  const uint32_t d = c.addSpec(device());
  const NodeId n = c.addNode("n");
  const DeviceId a = c.addDevice(d, n), b = c.addDevice(d, n);
  const LinkId l = c.addLink(c.vertex(a), c.vertex(b), c.addLinkSpec(link(1e9, 0)), 3);
  EXPECT_DOUBLE_EQ(c.bandwidth(l).value, 3e9);
}

TEST(Cluster, EqualPathsAreSharedOutBySource) {
  Cluster c;
  const uint32_t d = c.addSpec(device()), l = c.addLinkSpec(link(1e9, 1e-6));
  std::vector<DeviceId> left, right;
  const auto leafA = c.addSwitch("a", NodeId()), leafB = c.addSwitch("b", NodeId());
  for (int i = 0; i < 4; ++i) {
    left.push_back(c.addDevice(d, c.addNode("l")));
    c.addLink(c.vertex(left.back()), leafA, l);
  }
  right.push_back(c.addDevice(d, c.addNode("r")));
  c.addLink(c.vertex(right[0]), leafB, l);
  for (int i = 0; i < 4; ++i) {
    const auto spine = c.addSwitch("spine", NodeId());
    c.addLink(leafA, spine, l);
    c.addLink(spine, leafB, l);
  }
  std::set<uint32_t> used;
  for (DeviceId from : left) used.insert(c.route(from, right[0])[1].value);
  EXPECT_EQ(used.size(), 4u);
}

TEST(Cluster, ACopyIsIndependent) {
  Cluster a;
  const uint32_t d = a.addSpec(device());
  a.addDevice(d, a.addNode("n"));
  Cluster b = a;
  b.addDevice(d, b.addNode("m"));
  EXPECT_EQ(a.deviceCount(), 1u);
  EXPECT_EQ(b.deviceCount(), 2u);
}

TEST(Cluster, BrokenMachinesAreRefused) {
  EXPECT_THAT(errorOf([] { Cluster().validate(); }), HasSubstr("no devices"));
  EXPECT_THAT(errorOf([] {
                Cluster c;
                const uint32_t d = c.addSpec(device());
                c.addDevice(d, c.addNode("a"));
                c.addDevice(d, c.addNode("b"));
                c.validate();
              }),
              HasSubstr("device 1 in node 'b'"));
  for (double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(errorOf([&] {
                  Cluster c;
                  DeviceSpec s = device();
                  s.memoryBandwidth = BytesPerSecond(bad);
                  c.addDevice(c.addSpec(s), c.addNode("a"));
                  c.validate();
                }),
                HasSubstr("memory bandwidth"));
    EXPECT_THAT(errorOf([&] {
                  Cluster c;
                  c.addDevice(c.addSpec(device()), c.addNode("a"));
                  c.addLinkSpec(link(bad, 0));
                  c.validate();
                }),
                HasSubstr("bandwidth"));
  }
}

TEST(DeviceMesh, CoordinatesAndGroupsAgree) {
  Cluster c;
  const uint32_t d = c.addSpec(device());
  const NodeId n = c.addNode("n");
  for (int i = 0; i < 48; ++i) c.addDevice(d, n);
  const DeviceMesh mesh(c, {.tensor = 2, .expert = 3, .data = 4, .pipeline = 2});
  for (int bits = 0; bits < 16; ++bits) {
    MeshAxes axes;
    axes.bits = uint8_t(bits);
    for (int64_t r = 0; r < 48; ++r) {
      EXPECT_EQ(mesh.rank(mesh.coordinates(r)), r);
      std::vector<int64_t> expected;
      for (int64_t other = 0; other < 48; ++other) {
        bool same = true;
        for (int a = 0; a < kMeshAxes; ++a)
          same &= axes.has(MeshAxis(a)) ||
                  mesh.coordinates(other)[size_t(a)] == mesh.coordinates(r)[size_t(a)];
        if (same) expected.push_back(other);
      }
      EXPECT_EQ(mesh.group(axes, r), expected);
    }
  }
}

TEST(DeviceMesh, AShapeThatDoesNotFitIsAUsageError) {
  Cluster c;
  c.addDevice(c.addSpec(device()), c.addNode("n"));
  EXPECT_THROW(DeviceMesh(c, {.tensor = 2}), Error);
  EXPECT_THROW(DeviceMesh(c, {.tensor = 0}), Error);
  EXPECT_THROW(DeviceMesh(c, {.tensor = int64_t{1} << 40, .data = int64_t{1} << 40}), Error);
}

std::string jsonError(const std::string& text) {
  return errorOf([&] { clusterFromJson(text, "c.json"); });
}

TEST(ClusterJson, BadFilesGetOneClearError) {
  EXPECT_THAT(jsonError(""), HasSubstr("c.json: not valid JSON"));
  EXPECT_THAT(jsonError("{\"schema_version\": 1, \"nam"), HasSubstr("not valid JSON"));
  EXPECT_THAT(jsonError("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(jsonError("{}"), HasSubstr("'schema_version' is missing"));
  EXPECT_THAT(jsonError(R"({"schema_version": 2})"), HasSubstr("schema_version"));
  EXPECT_THAT(jsonError(R"({"schema_version": 1})"), HasSubstr("no devices"));
  EXPECT_THAT(jsonError(R"({"schema_version": 1, "swtiches": []})"), HasSubstr("'switches'"));
  EXPECT_THAT(jsonError(std::string(1000000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(jsonError(R"({"schema_version": 1, "price_per_hour": 1e999})"),
              HasSubstr("overflow"));
  EXPECT_THAT(jsonError(R"({"schema_version": 1, "price_per_hour": NaN})"),
              HasSubstr("not valid JSON"));
}

constexpr const char* kGood = R"({"schema_version": 1,
  "devices": [{"name": "D", "memory": 8e9, "memory_bandwidth": 1e9, "vector_peak": 1e12}],
  "links": [{"name": "L", "kind": "pcie", "bandwidth": 1e9}],
  "node_types": [{"vertices": [{"device": "D", "count": 2}, "hub"],
                  "links": [["device0", "hub", "L"], ["device1", "hub", "L", 2]]}],
  "nodes": [{"type": 0, "name": "n"}]})";

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ClusterJson, ASmallFileIsRead) {
  const Cluster c = clusterFromJson(kGood, "c.json");
  EXPECT_EQ(c.deviceCount(), 2u);
  EXPECT_EQ(c.route(DeviceId(0), DeviceId(1)).size(), 2u);
  EXPECT_EQ(clusterToJson(clusterFromJson(clusterToJson(c), "t")), clusterToJson(c));
}

TEST(ClusterJson, WrongNumbersAndNamesAreNamed) {
  EXPECT_THAT(jsonError(changed("8e9", "-1")), HasSubstr("devices[0].memory"));
  EXPECT_THAT(jsonError(changed("8e9", "0")), HasSubstr("devices[0].memory"));
  EXPECT_THAT(jsonError(changed("8e9", "1e30")), HasSubstr("devices[0].memory"));
  EXPECT_THAT(jsonError(changed("8e9", "99999999999999999999")), HasSubstr("devices[0].memory"));
  EXPECT_THAT(jsonError(changed("\"bandwidth\": 1e9", "\"bandwidth\": -1")),
              HasSubstr("links[0].bandwidth"));
  EXPECT_THAT(jsonError(changed("\"pcie\"", "\"pci\"")), HasSubstr("one of nvlink"));
  EXPECT_THAT(jsonError(changed("\"device1\"", "\"device2\"")), HasSubstr("did you mean"));
  EXPECT_THAT(jsonError(changed("\"L\", 2]", "\"L\", 0]")), HasSubstr("width"));
  EXPECT_THAT(jsonError(changed(", [\"device1\", \"hub\", \"L\", 2]", "")),
              HasSubstr("no path leads to it"));
  EXPECT_THAT(jsonError(changed("\"type\": 0", "\"type\": 7")), HasSubstr("nodes[0].type"));
  EXPECT_THAT(jsonError(changed("\"type\": 0", "\"type\": 0, \"count\": 9999999999")),
              HasSubstr("nodes[0].count"));
  EXPECT_THAT(jsonError(changed("\"count\": 2", "\"count\": 0")), HasSubstr("count"));
}

}  // namespace
}  // namespace meshplan
