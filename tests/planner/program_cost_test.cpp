// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "planner/simulator.h"
#include "profiles/load_cluster.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

// Counts questions. An operator takes its FLOPs in seconds, a collective its bytes in microseconds
// per rank.
class CountingCost : public CostModel {
 public:
  Estimate operatorTime(const OperatorWork& work) const override {
    ++operators_;
    return {Seconds(work.flops)};
  }
  Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                          const GroupTopology& group) const override {
    ++asked_[{kind, bytes.value, group.ranks, group.nodes}];
    return {Seconds(double(bytes.value) * 1e-6 * double(group.ranks))};
  }
  double computeSlowdown() const override { return 1.25; }
  double collectiveSlowdown() const override { return 1.5; }

  mutable int operators_ = 0;
  mutable std::map<std::tuple<CollectiveKind, int64_t, int64_t, int64_t>, int> asked_;
};

Program program() {
  Program p = parseProgram(R"(
    routine A forward 0: compute 1; compute 1; tensor 1 bytes 1000000; tensor 1 bytes 1000000; send 1 to 1 boundary 0 bytes 5000
    routine B forward 1: receive 1 from 0 boundary 0 bytes 5000; compute 1; data 1 bytes 64; data 1 pipeline 3 bytes 64
    stage 0: A
    stage 1: B
    stage 2: B
    stage 3: B
  )")
                  .program;
  p.mesh = {.tensor = 2, .expert = 1, .data = 2, .pipeline = 4};
  p.work.resize(2);
  p.work[0].flops = 3;
  p.work[1].flops = 4;
  p.routines[0].instructions[1].work = 1;
  p.routines[1].instructions[3].axes = MeshAxis::pipeline;
  p.routines[1].instructions[3].participants = 2;
  return p;
}

TEST(ProgramCost, AsksOncePerDistinctInstructionAndReceivesCostNothing) {
  const CountingCost cost;
  const InstructionTimes t = costProgram(program(), loadCluster("2x8xH100-SXM"), cost);
  EXPECT_EQ(t.times[0][0], Seconds(3));
  EXPECT_EQ(t.times[0][1], Seconds(4));
  EXPECT_EQ(t.times[0][2], Seconds(2));
  EXPECT_EQ(t.times[1][0], Seconds(0));
  EXPECT_EQ(t.times[1][1], Seconds(3));
  EXPECT_EQ(cost.operators_, 2);
  EXPECT_EQ(cost.asked_.size(), 4u);
  for (const auto& [question, times] : cost.asked_) EXPECT_EQ(times, 1);
  EXPECT_EQ(t.computeSlowdown, 1.25);
  EXPECT_EQ(t.collectiveSlowdown, 1.5);
}

TEST(ProgramCost, ATransferIsPricedAsOneAndATiedCollectiveOverItsParticipants) {
  const CountingCost cost;
  costProgram(program(), loadCluster("2x8xH100-SXM"), cost);
  std::map<CollectiveKind, std::vector<int64_t>> ranks;
  for (const auto& [question, times] : cost.asked_)
    ranks[std::get<0>(question)].push_back(std::get<2>(question));
  EXPECT_EQ(ranks.at(CollectiveKind::sendReceive).size(), 1u);
  EXPECT_THAT(ranks.at(CollectiveKind::allReduce), testing::Each(2));
}

TEST(ProgramCost, LinkDemandsAreFractionsOfTheLinksThatAGroupUses) {
  const CountingCost cost;
  const InstructionTimes t = costProgram(program(), loadCluster("2x8xH100-SXM"), cost);
  for (const auto& routine : t.demands)
    for (const LinkDemand& d : routine) {
      EXPECT_TRUE(d.fabric >= 0 && d.fabric <= 1);
      EXPECT_TRUE(d.network >= 0 && d.network <= 1);
    }
  EXPECT_GT(t.demands[0][2].fabric, 0);
  EXPECT_EQ(t.demands[0][2].network, 0);
  EXPECT_EQ(t.demands[0][0], LinkDemand{});
  EXPECT_GT(t.demands[1][3].network, 0) << "first and last stage are on different nodes";
}

}  // namespace
}  // namespace meshplan
