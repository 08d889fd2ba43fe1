// SPDX-License-Identifier: Apache-2.0
#include "profiles/load_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "core/cluster_json.h"
#include "core/error.h"
#include "profiles/catalog.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

std::string errorOf(const std::string& text) {
  try {
    loadCluster(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(LoadCluster, EveryCatalogueNameBuildsAValidCluster) {
  for (const std::string& name : catalogNodeNames())
    EXPECT_EQ(loadCluster("2x" + name).nodeCount(), 2u) << name;
  for (const std::string& name : catalogDeviceNames()) {
    const Cluster c = loadCluster("2x2x" + name);
    EXPECT_EQ(c.deviceCount(), 4u) << name;
    EXPECT_EQ(c.spec(DeviceId(0)).name, name);
    EXPECT_FALSE(c.spec(DeviceId(0)).source.empty());
  }
}

TEST(LoadCluster, PeaksOfEveryDeviceObeyPhysics) {
  const Catalog catalog = Catalog::builtIn();
  for (const auto& [name, d] : catalog.hardware().devices) {
    const auto peak = [&](DType t) {
      const auto it = d.matrixPeak.find(t);
      return it == d.matrixPeak.end() ? 0 : it->second.value;
    };
    if (peak(DType::bf16) > 0) {
      EXPECT_EQ(peak(DType::bf16), peak(DType::f16)) << name;
    }
    if (peak(DType::tf32) > 0) {
      EXPECT_NEAR(peak(DType::f16) / peak(DType::tf32), 2, 0.03) << name;
    }
    if (peak(DType::f8) > 0) {
      EXPECT_NEAR(peak(DType::f8) / peak(DType::f16), 2, 0.03) << name;
    }
    EXPECT_GE(peak(DType::f16), d.vectorPeak.value * (peak(DType::f16) > 0)) << name;
    const double ridge = d.vectorPeak.value / d.memoryBandwidth.value;
    EXPECT_GT(ridge, 5) << name;
    EXPECT_LT(ridge, 150) << name;
  }
}

TEST(LoadCluster, PresetsCountNodesAndDevices) {
  struct Case {
    const char* text;
    size_t nodes, devices;
    const char* device;
  };
  for (const Case& k : std::initializer_list<Case>{{"8xH100-SXM", 1, 8, "H100-SXM"},
                                                   {"2x8xA100-SXM-80GB", 2, 16, "A100-SXM-80GB"},
                                                   {"4xRTX-4090", 1, 4, "RTX-4090"},
                                                   {"4xrtx4090", 1, 4, "RTX-4090"},
                                                   {"64xH100-SXM", 8, 64, "H100-SXM"},
                                                   {"8xp4d.24xlarge", 8, 64, "A100-SXM-40GB"},
                                                   {"dgx-h100", 1, 8, "H100-SXM"},
                                                   {"16xdgx-a100", 16, 128, "A100-SXM-80GB"},
                                                   {"dgx-2", 1, 16, "V100-SXM3-32GB"},
                                                   {"gb200-nvl72", 1, 72, "GB200"}}) {
    const Cluster c = loadCluster(k.text);
    EXPECT_EQ(c.nodeCount(), k.nodes) << k.text;
    EXPECT_EQ(c.deviceCount(), k.devices) << k.text;
    EXPECT_EQ(c.spec(DeviceId(0)).name, k.device) << k.text;
    EXPECT_EQ(c.source, k.text);
  }
}

TEST(LoadCluster, ANetworkSuffixReplacesTheAdapters) {
  const auto rate = [](const std::string& text) {
    const Cluster c = loadCluster(text);
    double sum = 0;
    for (LinkId l : c.linksOf(NodeId(0)))
      if (isNetwork(c.linkSpec(l).kind)) sum += c.bandwidth(l).value;
    return sum;
  };
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB"), 200e9);
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB:ndr"), 400e9);
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB:ethernet-100g"), 12.5e9);
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB:4xroce-100g"), 50e9);
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB:100GB/s"), 100e9);
  EXPECT_DOUBLE_EQ(rate("2x8xA100-SXM-80GB:800Gb/s"), 100e9);
}

TEST(LoadCluster, UnknownNamesGetTheNearestOnes) {
  EXPECT_THAT(errorOf("8xH100-SMX"), HasSubstr("H100-SXM"));
  EXPECT_THAT(errorOf("dgx-h10"), HasSubstr("dgx-h100"));
  EXPECT_THAT(errorOf("8xH100-SXM:ndrr"), HasSubstr("'ndr'"));
  EXPECT_THAT(errorOf("12xH100-SXM"), HasSubstr("do not fill"));
  EXPECT_THAT(errorOf("0xH100-SXM"), HasSubstr("out of range"));
  EXPECT_THAT(errorOf("99999999999999999999xH100-SXM"), HasSubstr("out of range"));
  EXPECT_THAT(errorOf(""), HasSubstr("unknown"));
}

TEST(LoadCluster, SixteenThousandDevicesBuildInAFractionOfASecond) {
  const auto start = std::chrono::steady_clock::now();
  const Cluster c = loadCluster("2048xdgx-h100");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(c.deviceCount(), 16384u);
  RecordProperty("seconds", std::to_string(took.count()));
  std::printf("2048xdgx-h100 built in %.3f s\n", took.count());
  EXPECT_LT(took.count(), 3);  // 0.3 s optimised and undisturbed
}

TEST(LoadCluster, EveryCatalogueNodeSurvivesTheRoundTripThroughJson) {
  for (const std::string& name : catalogNodeNames()) {
    const Cluster c = loadCluster("3x" + name);
    const std::string text = clusterToJson(c);
    EXPECT_EQ(clusterToJson(clusterFromJson(text, "test")), text) << name;
  }
}

}  // namespace
}  // namespace meshplan
