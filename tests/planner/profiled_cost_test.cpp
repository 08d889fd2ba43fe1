// SPDX-License-Identifier: Apache-2.0
#include "planner/profiled_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <thread>

#include "planner/analytic_cost.h"
#include "profiles/catalog.h"

namespace meshplan {
namespace {

using Truth = std::function<double(const OperatorWork&)>;  // seconds

OperatorWork product(double m, double n, double k, DType compute = DType::f32,
                     Phase phase = Phase::forward) {
  OperatorWork w;
  w.def = findOperatorDef("MatMul");
  w.compute = compute;
  w.phase = phase;
  w.contraction = {1, std::floor(m), std::floor(n), std::floor(k)};
  const ContractionShape& c = w.contraction;
  w.flops = 2 * c.m * c.n * c.k;
  w.bytes = 4 * (c.m * c.k + c.k * c.n + c.m * c.n);
  w.outputElements = c.m * c.n;
  return w;
}

OperatorWork pointwise(const char* name, double elements, Phase phase = Phase::forward) {
  OperatorWork w;
  w.def = findOperatorDef(name);
  w.phase = phase;
  w.flops = w.outputElements = std::floor(elements);
  w.bytes = 8 * w.outputElements;
  return w;
}

OperatorMeasurement row(const OperatorWork& work, double seconds, int64_t time = 1, int busy = 1,
                        double spread = 0.01) {
  OperatorMeasurement m;
  m.environment = {"test", "machine", "kernels 1"};
  m.source = {Origin::measured, "", time};
  m.work = work;
  m.types = "f32[]";
  m.busy = busy;
  m.samples = {20, 0, Seconds(seconds), Seconds(seconds * spread), Seconds(seconds * 0.98)};
  return m;
}

CollectiveMeasurement collective(CollectiveKind kind, int64_t bytes, int64_t ranks, double seconds,
                                 int64_t time = 1) {
  CollectiveMeasurement m;
  m.environment = {"test", "machine", "kernels 1"};
  m.source = {Origin::measured, "", time};
  m.transport = "threads";
  m.kind = kind;
  m.bytes = Bytes(bytes);
  m.ranks = ranks;
  m.samples = {20, 0, Seconds(seconds), Seconds(seconds * 0.01), Seconds(seconds * 0.98)};
  return m;
}

ProfiledCost learned(const std::vector<OperatorMeasurement>& operators,
                     const std::vector<CollectiveMeasurement>& collectives = {},
                     const ProfileOptions& options = {}) {
  return ProfiledCost(std::make_unique<AnalyticCost>(Catalog::builtIn().device("A100-SXM-80GB")),
                      operators, collectives, options);
}

const AnalyticCost& formula() {
  static const AnalyticCost cost(Catalog::builtIn().device("A100-SXM-80GB"));
  return cost;
}

double seconds(const CostModel& cost, const OperatorWork& work) {
  return cost.operatorTime(work).time.value;
}

/// Products with extents from 16 to 4096, drawn evenly in logarithms.
std::vector<OperatorWork> someProducts(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> exponent(4, 12);
  std::vector<OperatorWork> works;
  for (size_t i = 0; i < count; ++i)
    works.push_back(product(std::exp2(exponent(random)), std::exp2(exponent(random)),
                            std::exp2(exponent(random))));
  return works;
}

/// A machine that is 3 times slower than the formula, 6 times on flat products, and has a cost per
/// call that the formula does not know.
double smoothTruth(const OperatorWork& w) {
  const ContractionShape& c = w.contraction;
  const double flat = 1 / (1 + std::min({c.m, c.n, c.k}) / 64);
  return seconds(formula(), w) * 3 * (1 + flat) * (1 + 0.1 * std::sin(std::log(c.k)));
}

std::vector<OperatorMeasurement> measure(const std::vector<OperatorWork>& works,
                                         const Truth& truth) {
  std::vector<OperatorMeasurement> rows;
  for (const OperatorWork& w : works) rows.push_back(row(w, truth(w)));
  return rows;
}

double meanError(const CostModel& cost, const std::vector<OperatorWork>& works,
                 const Truth& truth) {
  double sum = 0;
  for (const OperatorWork& w : works) sum += std::abs(std::log(seconds(cost, w) / truth(w)));
  return sum / double(works.size());
}

TEST(ProfiledCost, WithoutRowsAnswersAsTheFormula) {
  const ProfiledCost cost = learned({});
  for (const OperatorWork& w : someProducts(50, 1)) {
    EXPECT_EQ(cost.operatorTime(w).time, formula().operatorTime(w).time);
    EXPECT_EQ(cost.operatorTime(w).provenance, Provenance::analytic);
  }
  GroupTopology group;
  group.ranks = group.ranksPerNode = 8;
  group.intraBandwidth = BytesPerSecond(3e11);
  EXPECT_EQ(cost.collectiveTime(CollectiveKind::allReduce, Bytes(1 << 20), group).time,
            formula().collectiveTime(CollectiveKind::allReduce, Bytes(1 << 20), group).time);
  EXPECT_EQ(cost.loneSpeedup(product(64, 64, 64)), 1);
}

TEST(ProfiledCost, WorkThatWasMeasuredTakesWhatWasMeasured) {
  const std::vector<OperatorWork> works = someProducts(200, 2);
  const ProfiledCost cost = learned(measure(works, smoothTruth));
  for (const OperatorWork& w : works) {
    const Estimate e = cost.operatorTime(w);
    EXPECT_EQ(e.time.value, smoothTruth(w));
    EXPECT_EQ(e.provenance, Provenance::measured);
    EXPECT_LT(e.uncertainty, 0.05);
  }
}

TEST(ProfiledCost, BetweenMeasuredShapesASmoothErrorIsLearned) {
  const ProfiledCost cost = learned(measure(someProducts(200, 3), smoothTruth));
  const std::vector<OperatorWork> others = someProducts(300, 4);
  EXPECT_LT(meanError(cost, others, smoothTruth), 0.08);
  EXPECT_GT(meanError(formula(), others, smoothTruth), 1);
  size_t interpolated = 0;
  for (const OperatorWork& w : others)
    interpolated += cost.operatorTime(w).provenance == Provenance::interpolated;
  EXPECT_GT(interpolated, others.size() / 2);
}

TEST(ProfiledCost, MoreMeasurementsNeverMakeUnseenShapesWorse) {
  const std::vector<OperatorWork> unseen = someProducts(200, 5);
  constexpr unsigned kDraws = 10;
  double before = meanError(formula(), unseen, smoothTruth);
  for (size_t count : {1, 5, 20, 80, 320}) {
    double sum = 0;
    for (unsigned seed = 10; seed < 10 + kDraws; ++seed)
      sum +=
          meanError(learned(measure(someProducts(count, seed), smoothTruth)), unseen, smoothTruth);
    EXPECT_LT(sum / kDraws, before) << count << " rows";
    before = sum / kDraws;
  }
  EXPECT_LT(before, 0.07);
}

TEST(ProfiledCost, WhatIsCalledUncertainIsAsUncertainAsItSays) {
  const ProfiledCost cost = learned(measure(someProducts(150, 6), smoothTruth));
  const std::vector<OperatorWork> others = someProducts(400, 7);
  size_t inside = 0;
  for (const OperatorWork& w : others) {
    const Estimate e = cost.operatorTime(w);
    inside += std::abs(std::log(e.time.value / smoothTruth(w))) < 1.645 * e.uncertainty;
  }
  EXPECT_GT(inside, others.size() * 80 / 100);
}

TEST(ProfiledCost, FarFromEverythingItFallsBackOnTheClass) {
  const ProfiledCost cost = learned(measure(someProducts(100, 8), smoothTruth));
  for (double extent : {1e5, 1e6, 1e7})
    for (const OperatorWork& w : {product(1, extent, 1), product(extent, extent, extent)}) {
      const Estimate e = cost.operatorTime(w);
      const double factor = e.time.value / seconds(formula(), w);
      EXPECT_GT(factor, 3.0 / 1.3);
      EXPECT_LT(factor, 6 * 1.3);
      EXPECT_EQ(e.provenance, Provenance::analytic);
    }
}

TEST(ProfiledCost, IntervalsWidenFromMeasuredToInterpolatedToAnalytic) {
  const ProfiledCost cost = learned(measure(someProducts(100, 9), smoothTruth));
  const OperatorWork measured = someProducts(100, 9).front();
  const ContractionShape& c = measured.contraction;
  double before = cost.operatorTime(measured).uncertainty;
  for (double factor : {1.05, 1e2, 1e4, 1e6}) {
    const double now = cost.operatorTime(product(c.m * factor, c.n, c.k)).uncertainty;
    EXPECT_GE(now, before * 0.999) << factor;
    before = now;
  }
}

TEST(ProfiledCost, AClassIsCorrectedByItsOwnRatioAndOthersByTheDevices) {
  std::vector<OperatorMeasurement> rows;
  for (double n = 1e4; n < 1e7; n *= 3) {
    const OperatorWork w = pointwise("Relu", n);
    rows.push_back(row(w, seconds(formula(), w) * 5));
  }
  const ProfiledCost cost = learned(rows);
  const auto factor = [&](const OperatorWork& w) {
    return seconds(cost, w) / seconds(formula(), w);
  };
  EXPECT_NEAR(factor(pointwise("Gelu", 1e5)), 5, 0.3);
  EXPECT_NEAR(factor(pointwise("Gelu", 1e5, Phase::backwardInput)), 5, 0.5);
  EXPECT_GT(factor(product(512, 512, 512)), 2);
  EXPECT_EQ(cost.operatorTime(pointwise("Gelu", 1e5)).provenance, Provenance::analytic);
}

TEST(ProfiledCost, OneOddRowOfAClassIsNotBelievedMuchWhereTheFormulaIsMostlyRight) {
  std::vector<OperatorMeasurement> rows;
  std::mt19937 random(1);
  std::normal_distribution<double> error(0, 0.1);
  for (const OperatorWork& w : someProducts(50, 11))
    rows.push_back(row(w, seconds(formula(), w) * std::exp(error(random))));
  const OperatorWork odd = pointwise("Relu", 1e6);
  rows.push_back(row(odd, seconds(formula(), odd) * 1.3));
  const ProfiledCost cost = learned(rows);
  const OperatorWork gelu = pointwise("Gelu", 1e6);
  EXPECT_LT(seconds(cost, gelu), seconds(formula(), gelu) * 1.25);
  EXPECT_EQ(seconds(cost, odd), seconds(formula(), odd) * 1.3);
}

TEST(ProfiledCost, RowsOfTheSameLibrariesArePooled) {
  const OperatorWork w = product(64, 64, 64);
  std::vector<OperatorMeasurement> rows = {row(w, 1e-3, 5), row(w, 1.01e-3, 7), row(w, 1.05e-3, 6),
                                           row(w, 1.03e-3, 9)};
  rows[3].environment.libraries = "kernels 2";
  EXPECT_EQ(seconds(learned(rows), w), 1.03e-3);
  EXPECT_EQ(seconds(learned(rows, {}, {.libraries = "kernels 1"}), w), 1.02e-3);
  EXPECT_TRUE(learned(rows).contradictions().empty());
}

TEST(ProfiledCost, AContradictionIsReportedAndNotAveraged) {
  const OperatorWork w = product(64, 64, 64);
  const ProfiledCost cost = learned({row(w, 2.4e-3, 5), row(w, 1.2e-3, 7), row(w, 1.25e-3, 6)});
  EXPECT_EQ(seconds(cost, w), (1.2e-3 + 1.25e-3) / 2);
  ASSERT_EQ(cost.contradictions().size(), 1u);
  const Contradiction& c = cost.contradictions().front();
  EXPECT_EQ(c.other.median, Seconds(2.4e-3));
  EXPECT_NE(c.work.find("MatMul forward"), std::string::npos);
}

TEST(ProfiledCost, OfTwoThatContradictEachOtherTheNewerCounts) {
  const OperatorWork w = product(64, 64, 64);
  EXPECT_EQ(seconds(learned({row(w, 1.2e-3, 7), row(w, 2.4e-3, 5)}), w), 1.2e-3);
  EXPECT_EQ(seconds(learned({row(w, 1.2e-3, 5), row(w, 2.4e-3, 7)}), w), 2.4e-3);
}

TEST(ProfiledCost, RowsThatTheirSpreadExplainsDoNotContradict) {
  const OperatorWork w = product(64, 64, 64);
  EXPECT_TRUE(
      learned({row(w, 1e-3, 1, 1, 0.5), row(w, 1.3e-3, 2, 1, 0.5)}).contradictions().empty());
  EXPECT_EQ(learned({row(w, 1e-3, 1, 1, 0.01), row(w, 1.3e-3, 2, 1, 0.01)}).contradictions().size(),
            1u);
}

TEST(ProfiledCost, RowsOfAnotherNumberOfBusyRanksAreCorrectedByWhatBothShow) {
  std::vector<OperatorMeasurement> rows;
  const std::vector<OperatorWork> works = someProducts(20, 12);
  for (const OperatorWork& w : works) {
    rows.push_back(row(w, smoothTruth(w), 1, 1));
    if (&w != &works.front()) rows.push_back(row(w, smoothTruth(w) * 1.5, 1, 2));
  }
  const ProfiledCost cost = learned(rows, {}, {.busy = 2});
  EXPECT_NEAR(seconds(cost, works.front()), smoothTruth(works.front()) * 1.5, 1e-12);
  EXPECT_EQ(cost.operatorTime(works.front()).provenance, Provenance::interpolated);
  EXPECT_EQ(cost.operatorTime(works.back()).provenance, Provenance::measured);
  EXPECT_NEAR(cost.loneSpeedup(works.back()), 1.5, 1e-9);
  EXPECT_NEAR(cost.loneSpeedup(works.front()), 1.5, 1e-9);
  EXPECT_NEAR(cost.loneSpeedup(pointwise("Relu", 1e5)), 1.5, 1e-9);
  EXPECT_EQ(learned(rows).loneSpeedup(works.back()), 1);
}

GroupTopology groupOf(int64_t ranks, int64_t groups = 1) {
  GroupTopology g;
  g.ranks = g.ranksPerNode = ranks;
  g.groups = groups;
  g.intraBandwidth = BytesPerSecond(3e11);
  return g;
}

TEST(ProfiledCost, CollectivesAreMeasuredInterpolatedOrFollowTheFormulaBeyond) {
  const auto kind = CollectiveKind::allReduce;
  const ProfiledCost cost =
      learned({}, {collective(kind, 1 << 10, 4, 1e-5), collective(kind, 1 << 20, 4, 1.6e-4)});
  const auto at = [&](int64_t bytes, int64_t ranks) {
    return cost.collectiveTime(kind, Bytes(bytes), groupOf(ranks));
  };
  const auto formulaAt = [&](int64_t bytes, int64_t ranks) {
    return formula().collectiveTime(kind, Bytes(bytes), groupOf(ranks)).time.value;
  };
  EXPECT_NEAR(at(1 << 10, 4).time.value, 1e-5, 1e-12);
  EXPECT_EQ(at(1 << 20, 4).provenance, Provenance::measured);
  EXPECT_NEAR(at(1 << 15, 4).time.value, 4e-5, 1e-9);
  EXPECT_EQ(at(1 << 15, 4).provenance, Provenance::interpolated);
  const double end = 1.6e-4 / formulaAt(1 << 20, 4);
  EXPECT_NEAR(at(1 << 26, 4).time.value, end * formulaAt(1 << 26, 4), 1e-9);
  EXPECT_EQ(at(1 << 26, 4).provenance, Provenance::analytic);
  EXPECT_NEAR(at(1 << 20, 2).time.value, end * formulaAt(1 << 20, 2), 1e-9);
  EXPECT_EQ(at(1 << 20, 2).provenance, Provenance::analytic);
  EXPECT_LT(at(1 << 20, 4).uncertainty, at(1 << 15, 4).uncertainty);
  EXPECT_LT(at(1 << 20, 4).uncertainty, at(1 << 26, 4).uncertainty);
  const double other =
      cost.collectiveTime(CollectiveKind::allGather, Bytes(1 << 20), groupOf(4)).time.value /
      formula().collectiveTime(CollectiveKind::allGather, Bytes(1 << 20), groupOf(4)).time.value;
  EXPECT_GT(other, 1 + (end - 1) * 0.5);
  EXPECT_LE(other, end);
}

TEST(ProfiledCost, GroupsSideBySideAndOtherTransportsAreKeptApart) {
  const auto kind = CollectiveKind::allGather;
  std::vector<CollectiveMeasurement> rows = {collective(kind, 1 << 20, 2, 1e-4),
                                             collective(kind, 1 << 20, 2, 3e-4),
                                             collective(kind, 1 << 20, 2, 9e-4)};
  rows[1].groups = 2;
  rows[2].transport = "sockets";
  const auto time = [&](const ProfiledCost& cost, int64_t groups) {
    return cost.collectiveTime(kind, Bytes(1 << 20), groupOf(2, groups)).time.value;
  };
  const ProfiledCost threads = learned({}, rows),
                     sockets = learned({}, rows, {.transport = "sockets"});
  EXPECT_NEAR(time(threads, 1), 1e-4, 1e-12);
  EXPECT_NEAR(time(threads, 2), 3e-4, 1e-12);
  EXPECT_NEAR(time(sockets, 1), 9e-4, 1e-12);
  EXPECT_TRUE(threads.contradictions().empty());
}

TEST(ProfiledCost, AFreeCollectiveStaysFree) {
  const ProfiledCost cost = learned({}, {collective(CollectiveKind::allReduce, 1 << 20, 4, 1e-4)});
  EXPECT_EQ(cost.collectiveTime(CollectiveKind::allReduce, Bytes(1 << 20), groupOf(1)).time.value,
            0);
  EXPECT_EQ(cost.collectiveTime(CollectiveKind::allReduce, Bytes(0), groupOf(4)).time.value, 0);
}

TEST(ProfiledCost, ManyThreadsGetTheSameAnswers) {
  const ProfiledCost cost = learned(measure(someProducts(100, 13), smoothTruth));
  const std::vector<OperatorWork> works = someProducts(500, 14);
  std::vector<double> expected;
  for (const OperatorWork& w : works) expected.push_back(seconds(cost, w));
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (size_t i = 0; i < works.size(); ++i) count += seconds(cost, works[i]) != expected[i];
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(std::accumulate(wrong.begin(), wrong.end(), 0), 0);
}

}  // namespace
}  // namespace meshplan
