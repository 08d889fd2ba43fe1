// SPDX-License-Identifier: Apache-2.0
#include "planner/analytic_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "core/error.h"
#include "planner/collective_cost.h"
#include "profiles/catalog.h"

namespace meshplan {
namespace {

DeviceSpec device(std::string architecture, int multiprocessors, double vectorTera,
                  double matrixTera, double gigabytes, int64_t l2Mebibytes) {
  DeviceSpec s;
  s.name = "test-" + architecture;
  s.architecture = std::move(architecture);
  s.multiprocessors = multiprocessors;
  s.vectorPeak = FlopsPerSecond(vectorTera * 1e12);
  s.memoryBandwidth = BytesPerSecond(gigabytes * 1e9);
  s.l2 = Bytes(l2Mebibytes * kMiB);
  s.matrixPeak[DType::f16] = FlopsPerSecond(matrixTera * 1e12);
  if (s.architecture != "volta") {
    s.matrixPeak[DType::bf16] = FlopsPerSecond(matrixTera * 1e12);
    s.matrixPeak[DType::tf32] = FlopsPerSecond(matrixTera / 2 * 1e12);
  }
  return s;
}

DeviceSpec volta() {
  return device("volta", 80, 15.7, 125, 900, 6);
}
DeviceSpec ampere() {
  return device("ampere", 108, 19.5, 312, 2039, 40);
}
DeviceSpec hopper() {
  return device("hopper", 132, 66.9, 989, 3350, 50);
}

OperatorWork workOfClass(OpClass opClass, double bytes, double flops = 0) {
  static const std::array<OperatorDef, 14> defs = [] {
    std::array<OperatorDef, 14> d;
    for (size_t i = 0; i < d.size(); ++i) d[i].opClass = static_cast<OpClass>(i);
    return d;
  }();
  OperatorWork w;
  w.def = &defs[static_cast<size_t>(opClass)];
  w.compute = DType::bf16;
  w.bytes = bytes;
  w.flops = flops;
  return w;
}

OperatorWork gemm(double batch, double m, double n, double k, DType compute = DType::bf16) {
  double bytes = batch * (m * k + k * n + m * n) * static_cast<double>(dtypeBytes(compute));
  OperatorWork w = workOfClass(OpClass::contraction, bytes, 2 * batch * m * n * k);
  w.compute = compute;
  w.contraction = {batch, m, n, k};
  return w;
}

OperatorWork attention(double length, double headDim, bool causal, bool flash, Phase phase) {
  double batch = 4, heads = 16, tensor = batch * heads * length * headDim;
  double products = 4 * tensor * length;
  bool backward = phase != Phase::forward;
  OperatorWork w = workOfClass(OpClass::attention, tensor * 2 * (backward ? 8 : 4),
                               products * (backward ? 2.5 : 1));
  w.phase = phase;
  w.attention = {batch, heads, heads, length, length, headDim, headDim, causal, flash};
  return w;
}

double seconds(const AnalyticCost& cost, const OperatorWork& work) {
  return cost.operatorTime(work).time.value;
}

class OnEveryDevice : public ::testing::TestWithParam<DeviceSpec> {};

INSTANTIATE_TEST_SUITE_P(AnalyticCost, OnEveryDevice,
                         ::testing::Values(volta(), ampere(), hopper(),
                                           device("blackwell", 148, 75, 2250, 8000, 126),
                                           device("unheard-of", 100, 50, 500, 2000, 40)),
                         [](const auto& info) {
                           std::string name = info.param.architecture;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(OnEveryDevice, GrowsWithEveryDimensionOfAProduct) {
  AnalyticCost cost(GetParam());
  std::mt19937 random(1);
  auto draw = [&] {
    return 8 * std::floor(std::exp2(std::uniform_real_distribution(0., 11.)(random)));
  };
  for (int i = 0; i < 3000; ++i) {
    ContractionShape s{std::exp2(i % 6), draw(), draw(), draw()};
    double before = seconds(cost, gemm(s.batch, s.m, s.n, s.k, DType::f16));
    double ContractionShape::*grown[] = {&ContractionShape::batch, &ContractionShape::m,
                                         &ContractionShape::n, &ContractionShape::k};
    for (auto dimension : grown) {
      ContractionShape g = s;
      g.*dimension += dimension == &ContractionShape::batch ? 1 : 8;
      double after = seconds(cost, gemm(g.batch, g.m, g.n, g.k, DType::f16));
      EXPECT_GE(after, before * (1 - 1e-12)) << s.batch << " " << s.m << " " << s.n << " " << s.k;
    }
  }
}

TEST_P(OnEveryDevice, AnUnalignedProductIsSlowerByAtMostTheStatedPenalty) {
  AnalyticCost cost(GetParam());
  double aligned = seconds(cost, gemm(1, 4096, 4096, 4096, DType::f16));
  double unaligned = seconds(cost, gemm(1, 4096, 4095, 4096, DType::f16));
  EXPECT_GE(unaligned, aligned * 0.999);
  EXPECT_LE(unaligned, aligned * cost.parameters().unalignedPenalty);
}

TEST_P(OnEveryDevice, GrowsWithBytesAndFlopsInEveryClass) {
  AnalyticCost cost(GetParam());
  for (OpClass c :
       {OpClass::normalization, OpClass::elementwise, OpClass::reduction, OpClass::movement,
        OpClass::embedding, OpClass::loss, OpClass::moe, OpClass::optimizer, OpClass::opaque}) {
    double before = 0;
    for (double bytes = 1; bytes < 1e11; bytes *= 1.3) {
      double now = seconds(cost, workOfClass(c, bytes, bytes));
      EXPECT_GE(now, before);
      EXPECT_GE(seconds(cost, workOfClass(c, bytes, bytes * 1e3)), now);
      before = now;
    }
  }
}

TEST_P(OnEveryDevice, IsNeverFasterThanTheRoofline) {
  DeviceSpec spec = GetParam();
  AnalyticCost cost(spec);
  double bandwidth = spec.memoryBandwidth.value, peak = spec.matrixPeak.at(DType::f16).value;
  for (double size = 64; size <= 32768; size *= 2) {
    EXPECT_GT(seconds(cost, gemm(1, size, size, size, DType::f16)), 2 * size * size * size / peak);
    EXPECT_GT(seconds(cost, gemm(1, size, size, size, DType::f32)),
              2 * size * size * size / spec.vectorPeak.value);
  }
  for (double length = 256; length <= 65536; length *= 2)
    for (bool flash : {true, false}) {
      OperatorWork w = attention(length, 128, false, flash, Phase::forward);
      w.compute = DType::f16;
      EXPECT_GT(seconds(cost, w), w.flops / peak);
    }
  double cache = static_cast<double>(spec.l2.value);
  for (double bytes = 1; bytes < 1e11; bytes *= 2) {
    double fastest = bytes < 8 * cache ? bandwidth * cost.parameters().cacheSpeedup : bandwidth;
    EXPECT_GT(seconds(cost, workOfClass(OpClass::elementwise, bytes)), bytes / fastest);
  }
}

TEST_P(OnEveryDevice, NoKernelIsShorterThanItsLaunch) {
  AnalyticCost cost(GetParam());
  for (int64_t kernels : {1, 7})
    for (OpClass c : {OpClass::contraction, OpClass::convolution, OpClass::attention,
                      OpClass::elementwise, OpClass::recurrent, OpClass::opaque}) {
      OperatorWork w = workOfClass(c, 1, 1);
      w.kernels = kernels;
      EXPECT_GE(seconds(cost, w), cost.parameters().launchFloor * static_cast<double>(kernels));
    }
}

TEST_P(OnEveryDevice, RepeatedKernelsCostTheirMultiple) {
  AnalyticCost cost(GetParam());
  OperatorWork one = gemm(1, 512, 512, 512, DType::f16), ten = one;
  ten.kernels = 10;
  ten.flops *= 10;
  ten.bytes *= 10;
  EXPECT_NEAR(seconds(cost, ten), 10 * seconds(cost, one), 1e-12);
}

TEST_P(OnEveryDevice, OneTileMoreThanAFullWaveCostsAStep) {
  DeviceSpec spec = GetParam();
  AnalyticCost cost(spec);
  MatrixCost matrix(spec, cost.parameters(), DType::f16);
  double full = spec.multiprocessors;
  auto tiles = [&](double count) { return matrix.seconds({count, 128, 128, 8192}); };
  double step = tiles(full + 1) - tiles(full), inside = tiles(full) - tiles(full - 1);
  EXPECT_GT(step, 0.15 * tiles(full));
  EXPECT_GT(step, 4 * inside);
}

TEST_P(OnEveryDevice, CausalAttentionIsFasterAndBackwardSlower) {
  AnalyticCost cost(GetParam());
  for (double length = 512; length <= 16384; length *= 2) {
    for (Phase phase : {Phase::forward, Phase::backwardInput})
      EXPECT_LT(seconds(cost, attention(length, 64, true, true, phase)),
                seconds(cost, attention(length, 64, false, true, phase)));
    for (bool flash : {true, false})
      EXPECT_GT(seconds(cost, attention(length, 64, true, flash, Phase::backwardInput)),
                seconds(cost, attention(length, 64, true, flash, Phase::forward)));
  }
}

TEST(AnalyticCost, LongCausalAttentionDoesHalfTheWork) {
  AnalyticCost cost(ampere());
  double full = seconds(cost, attention(16384, 128, false, true, Phase::forward));
  double causal = seconds(cost, attention(16384, 128, true, true, Phase::forward));
  EXPECT_NEAR(causal / full, 0.5, 0.05);
}

TEST(AnalyticCost, FusedAttentionBeatsUnfusedWhenScoresAreLong) {
  AnalyticCost cost(ampere());
  EXPECT_LT(2 * seconds(cost, attention(4096, 128, false, true, Phase::forward)),
            seconds(cost, attention(4096, 128, false, false, Phase::forward)));
}

TEST(AnalyticCost, FusedAttentionIsMoreEfficientOnLongSequencesAndWideHeads) {
  AnalyticCost cost(hopper());
  auto rate = [&](double length, double headDim) {
    OperatorWork w = attention(length, headDim, false, true, Phase::forward);
    return w.flops / seconds(cost, w);
  };
  EXPECT_LT(rate(512, 64), rate(1024, 64));
  EXPECT_LT(rate(1024, 64), rate(8192, 64));
  EXPECT_LT(rate(8192, 64), rate(8192, 128));
}

TEST(AnalyticCost, FewerBitsAndBiggerDevicesAreFasterOnBigProducts) {
  AnalyticCost a100(ampere()), h100(hopper()), v100(volta());
  OperatorWork bf16 = gemm(1, 8192, 8192, 8192), fp16 = gemm(1, 8192, 8192, 8192, DType::f16);
  EXPECT_LT(4 * seconds(a100, bf16), seconds(a100, gemm(1, 8192, 8192, 8192, DType::f32)));
  EXPECT_LT(seconds(a100, bf16), seconds(a100, gemm(1, 8192, 8192, 8192, DType::tf32)));
  EXPECT_LT(seconds(h100, bf16), seconds(a100, bf16));
  EXPECT_LT(seconds(a100, fp16), seconds(v100, fp16));
}

TEST(AnalyticCost, ADepthwiseConvolutionIsBoundByMemory) {
  AnalyticCost cost(ampere());
  double channels = 512, positions = 64 * 56 * 56, bytes = 2 * channels * positions * 2;
  OperatorWork w = workOfClass(OpClass::convolution, bytes, 2 * channels * positions * 9);
  w.contraction = {channels, positions, 1, 9};
  EXPECT_GT(seconds(cost, w), bytes / ampere().memoryBandwidth.value);
}

OperatorWork convolutionWork(DType compute, double kernelArea, Phase phase = Phase::forward,
                             double channels = 256) {
  OperatorWork w = workOfClass(OpClass::convolution, 1e7);
  w.compute = compute;
  w.phase = phase;
  const double positions = 16 * 28 * 28;
  w.contraction = phase == Phase::backwardWeight
                      ? ContractionShape{1, channels * 9, channels, positions}
                      : ContractionShape{1, positions, channels, channels * 9};
  w.kernelArea = kernelArea;
  return w;
}

TEST(AnalyticCost, OnlyFp32ConvolutionsOfStrideOneMultiplyLess) {
  AnalyticCost cost(volta());
  auto time = [&](DType compute, double area, Phase phase = Phase::forward, double channels = 256) {
    return seconds(cost, convolutionWork(compute, area, phase, channels));
  };
  for (Phase phase : {Phase::forward, Phase::backwardInput, Phase::backwardWeight}) {
    EXPECT_LT(time(DType::f32, 9, phase), 0.7 * time(DType::f32, 0, phase));
    EXPECT_GT(time(DType::f32, 9, phase), time(DType::f32, 0, phase) / 4);
    EXPECT_EQ(time(DType::f32, 1, phase), time(DType::f32, 0, phase));
    EXPECT_EQ(time(DType::f16, 9, phase), time(DType::f16, 0, phase));
  }
  // The gradient of a small weight is made directly.
  EXPECT_EQ(time(DType::f32, 9, Phase::backwardWeight, 64),
            time(DType::f32, 0, Phase::backwardWeight, 64));
}

TEST(AnalyticCost, TheInputGradientOfAStridedConvolutionTakesLonger) {
  AnalyticCost cost(volta());
  for (Phase phase : {Phase::forward, Phase::backwardInput, Phase::backwardWeight}) {
    OperatorWork dense = convolutionWork(DType::f16, 0, phase), strided = dense;
    strided.strideArea = 4;
    if (phase == Phase::backwardInput)
      EXPECT_GT(seconds(cost, strided), 1.2 * seconds(cost, dense));
    else
      EXPECT_EQ(seconds(cost, strided), seconds(cost, dense));
  }
}

TEST(AnalyticCost, BiasesCostPassesOfTheirOwn) {
  AnalyticCost cost(ampere());
  OperatorWork plain = gemm(1, 8192, 4096, 4096), biased = plain;
  biased.biasBytes = 2.0 * 8192 * 4096 * 2;
  EXPECT_GT(seconds(cost, biased) - seconds(cost, plain),
            biased.biasBytes / ampere().memoryBandwidth.value / 2.5);
}

TEST(AnalyticCost, AReductionMaySplitOnlyWhereItIsAllowed) {
  MatrixCost matrix(volta(), AnalyticCost(volta()).parameters(), DType::f16);
  for (double m : {64., 512., 4096.})
    for (double k : {256., 4096., 65536.}) {
      const ContractionShape s{1, m, 512, k};
      EXPECT_LE(matrix.seconds(s, Reduction::splitFreely), matrix.seconds(s));
      EXPECT_LE(matrix.seconds(s), matrix.seconds(s, Reduction::whole));
    }
  const ContractionShape lone{1, 64, 64, 65536};
  EXPECT_LT(matrix.seconds(lone), 0.2 * matrix.seconds(lone, Reduction::whole));
}

TEST(AnalyticCost, OnlyMatrixUnitsWantTheChannelsLast) {
  AnalyticCost cost(volta());
  auto time = [&](DType compute, double transposed) {
    OperatorWork w = workOfClass(OpClass::convolution, 1e8);
    w.compute = compute;
    w.contraction = {1, 16 * 56 * 56, 64, 256};
    w.transposedBytes = transposed;
    return seconds(cost, w);
  };
  EXPECT_EQ(time(DType::f32, 2e8), time(DType::f32, 0));
  EXPECT_GT(time(DType::f16, 2e8), time(DType::f16, 0) + 2e8 / volta().memoryBandwidth.value);
}

TEST(AnalyticCost, WorkInsideAnotherKernelCostsItsBytesAndNoLaunch) {
  AnalyticCost cost(ampere());
  OperatorWork w = workOfClass(OpClass::elementwise, 0);
  w.kernels = 0;
  EXPECT_EQ(seconds(cost, w), 0);
  w.bytes = 1e9;
  EXPECT_GT(seconds(cost, w), 1e9 / ampere().memoryBandwidth.value);
  EXPECT_EQ(cost.hostTime(w).value, 0);
}

TEST(AnalyticCost, SplittingALongReductionUsesMoreOfTheDevice) {
  AnalyticCost cost(hopper());
  OperatorWork w = gemm(1, 128, 128, 1 << 20);
  MatrixCost matrix(hopper(), cost.parameters(), DType::bf16);
  EXPECT_GT(w.flops / matrix.seconds(w.contraction), 8 * matrix.peak() / matrix.multiprocessors());
}

TEST(AnalyticCost, CollectiveTimesAreThoseOfTheLinks) {
  AnalyticCost cost(ampere());
  GroupTopology group;
  group.ranks = group.ranksPerNode = 8;
  group.intraBandwidth = BytesPerSecond(300e9);
  group.intraLatency = Seconds(2e-6);
  Bytes bytes(kMiB);
  Seconds time = cost.collectiveTime(CollectiveKind::allReduce, bytes, group).time;
  EXPECT_GT(time.value, 0);
  EXPECT_EQ(time, collectiveCost(CollectiveKind::allReduce, bytes, group).time);
}

TEST(AnalyticCost, ViewsAreFree) {
  EXPECT_EQ(seconds(AnalyticCost(ampere()), workOfClass(OpClass::view, 1e9)), 0);
}

TEST(AnalyticCost, EstimatesAreAnalyticAndNameAnUncertainty) {
  AnalyticCost cost(ampere());
  Estimate e = cost.operatorTime(gemm(1, 1024, 1024, 1024));
  EXPECT_EQ(e.provenance, Provenance::analytic);
  EXPECT_EQ(e.uncertainty, cost.parameters().contractionUncertainty);
  EXPECT_GT(e.uncertainty, 0);
}

TEST(AnalyticCost, ADevicesOwnParameterOverridesItsGenerations) {
  DeviceSpec spec = ampere();
  spec.parameters["launch_floor"] = {1e-4, 0, "test"};
  spec.parameters["reserve_bytes"] = {-1, 0, "another model's"};
  EXPECT_EQ(AnalyticCost(spec).parameters().launchFloor, 1e-4);
  EXPECT_EQ(AnalyticCost(spec).parameters().matrixCeiling,
            AnalyticCost(ampere()).parameters().matrixCeiling);
}

TEST(AnalyticCost, ImpossibleParametersAndDevicesAreRefusedByName) {
  auto problem = [](const DeviceSpec& spec) -> std::string {
    try {
      AnalyticCost cost(spec);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      return e.what();
    }
    return "";
  };
  DeviceSpec fast = ampere(), nan = ampere(), none = ampere(), still = ampere();
  fast.parameters["matrix_ceiling"] = {1.5, 0, ""};
  nan.parameters["launch_floor"] = {std::numeric_limits<double>::quiet_NaN(), 0, ""};
  none.multiprocessors = 0;
  still.memoryBandwidth = BytesPerSecond(0);
  EXPECT_NE(problem(fast).find("matrix_ceiling"), std::string::npos);
  EXPECT_NE(problem(nan).find("launch_floor"), std::string::npos);
  EXPECT_NE(problem(none).find("multiprocessors"), std::string::npos);
  EXPECT_NE(problem(still).find("bandwidth"), std::string::npos);
  EXPECT_EQ(problem(ampere()), "");
}

TEST(AnalyticCost, PricesAProductOnEveryDeviceOfTheCatalogueWithinItsPeak) {
  Catalog catalog = Catalog::builtIn();
  for (const auto& [name, spec] : catalog.hardware().devices) {
    AnalyticCost cost(spec);
    for (DType compute : {DType::f32, DType::f16}) {
      OperatorWork w = gemm(1, 8192, 8192, 8192, compute);
      double share = w.flops / seconds(cost, w) / matrixPeak(spec, compute).value;
      EXPECT_GT(share, 0.3) << name;
      EXPECT_LT(share, 1) << name;
    }
  }
}

TEST(DeviceParameters, EveryDefaultLiesWithinItsBounds) {
  for (std::string_view name :
       {"pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell", "cpu", "unheard-of"}) {
    DeviceParameters p = defaultParameters(name);
    for (const ParameterDefinition& d : parameterDefinitions()) {
      EXPECT_GE(p.*d.member, d.low) << name << " " << d.name;
      EXPECT_LE(p.*d.member, d.high) << name << " " << d.name;
    }
  }
}

}  // namespace
}  // namespace meshplan
