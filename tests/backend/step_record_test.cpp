// SPDX-License-Identifier: Apache-2.0
#include "backend/step_record.h"

#include <gtest/gtest.h>

#include "backend/learned_rows.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

using Step = StepRecorder::Step;

/// Two data-parallel ranks: compute, an all-reduce of gradients, an update.
Program dataParallel() {
  Program program = parseProgram(R"(
    routine A backward 0: compute 1; data 1 after 0 bytes 64
    routine U update 0: compute 1 drain data
    stage 0 x2: A U
  )")
                        .program;
  program.mesh = {1, 1, 2, 1};
  return program;
}

Program pipeline() {
  Program program = parseProgram(R"(
    routine A forward 0: compute 1; send 1 to 1 boundary 0 bytes 8 after 0
    routine B forward 1: receive 0 from 0 boundary 0 bytes 8; compute 1 after 0
    stage 0: A@0 A@1
    stage 1: B@0 B@1
  )")
                        .program;
  program.mesh = {1, 1, 1, 2};
  return program;
}

TEST(StepRecord, ACollectiveBeginsWhenTheLastRankIsThere) {
  const std::vector<RankSteps> ranks = {{0, {Step{{0, 3}, {3, 6}, {6, 7}}}},
                                        {1, {Step{{0, 5}, {5, 6}, {6, 8}}}}};
  const auto busy = withoutWaiting(dataParallel(), ranks);
  EXPECT_DOUBLE_EQ(busy[0].steps[0][1].start, 5);
  EXPECT_DOUBLE_EQ(busy[1].steps[0][1].start, 5);
  EXPECT_DOUBLE_EQ(busy[0].steps[0][0].start, 0);

  const StepRecord record = recordOf(dataParallel(), ranks);
  EXPECT_DOUBLE_EQ(record.timeline.stepTime.value, 7);
  const TimeByCategory& time = record.timeline.rankClasses[0].time;
  EXPECT_DOUBLE_EQ(time.compute.value, 3);
  EXPECT_DOUBLE_EQ(time.exposedCommunication.value, 1);
  EXPECT_DOUBLE_EQ(time.optimizer.value, 1);
  EXPECT_DOUBLE_EQ(time.bubble.value, 2);
}

TEST(StepRecord, AReceiveBeginsWhenItsMessageWasSent) {
  const std::vector<RankSteps> ranks = {
      {0, {Step{{0, 2}, {2, 3}, {3, 5}, {5, 6}}}},
      {1, {Step{{0, 4}, {4, 9}, {9, 10}, {10, 11}}}},
  };
  const auto busy = withoutWaiting(pipeline(), ranks);
  EXPECT_DOUBLE_EQ(busy[1].steps[0][0].start, 3);  // waited for the first message
  EXPECT_DOUBLE_EQ(busy[1].steps[0][2].start, 9);  // the second one was there
  EXPECT_DOUBLE_EQ(busy[0].steps[0][1].start, 2);
}

TEST(StepRecord, InstructionsAreMediansOverTheSteps) {
  std::vector<RankSteps> ranks(2);
  for (int s = 0; s < 5; ++s) {
    const double at = 100 * s, compute = s == 4 ? 50 : 2 + s;  // an outlier at the end
    for (int r : {0, 1}) {
      ranks[size_t(r)].rank = r;
      ranks[size_t(r)].steps.push_back(
          Step{{at, at + compute}, {at + compute, at + compute + 1}, {at + 60, at + 61}});
    }
  }
  const StepRecord record = recordOf(dataParallel(), ranks);
  ASSERT_EQ(record.instructions.size(), 3u);
  EXPECT_DOUBLE_EQ(record.instructions[0].duration.value, 4);
  EXPECT_DOUBLE_EQ(record.instructions[1].start.value, 4);
  EXPECT_DOUBLE_EQ(record.instructions[2].call, 1);
}

/// The program with work that a row can name.
Program withWork(Program program) {
  program.work.assign(1, OperatorWork{});
  program.work[0].def = &operatorDef("MatMul");
  for (Routine& r : program.routines) r.bindings.resize(r.instructions.size());
  return program;
}

RunConditions twoCores() {
  RunConditions c;
  c.environment.device = "device";
  c.transport = "threads";
  c.cores = 2;
  return c;
}

TEST(LearnedRows, TellWorkBesideBusyRanksFromWorkAlone) {
  const std::vector<RankSteps> ranks = {
      {0, {Step{{0, 2}, {2, 3}, {4, 6}, {6, 7}}}},
      {1, {Step{{0, 3.5}, {3.5, 5}, {5, 6.5}, {6.5, 7}}}},
  };
  const LearnedRows rows = learnedRows(withWork(pipeline()), ranks, twoCores());
  ASSERT_EQ(rows.operators.size(), 2u);
  // Rank 0's first operator had the host to itself, rank 1's last one ran beside a transfer; the
  // other two saw their neighbour begin or stop.
  EXPECT_EQ(rows.operators[0].busy, 1);
  EXPECT_DOUBLE_EQ(rows.operators[0].samples.median.value, 2);
  EXPECT_EQ(rows.operators[1].busy, 2);
  EXPECT_DOUBLE_EQ(rows.operators[1].samples.median.value, 0.5);
  EXPECT_EQ(rows.operators[0].samples.count + rows.operators[1].samples.count, 2);
}

TEST(LearnedRows, ATransferIsWhatBothSidesWereBusyWithIt) {
  const std::vector<RankSteps> ranks = {
      {0, {Step{{0, 2}, {2, 3}, {3, 5}, {5, 6}}}},
      {1, {Step{{0, 3.5}, {3.5, 6}, {6, 6.5}, {6.5, 8}}}},
  };
  const LearnedRows rows = learnedRows(withWork(pipeline()), ranks, twoCores());
  ASSERT_EQ(rows.collectives.size(), 1u);
  EXPECT_EQ(rows.collectives[0].kind, CollectiveKind::sendReceive);
  EXPECT_EQ(rows.collectives[0].bytes.value, 8);
  EXPECT_DOUBLE_EQ(rows.collectives[0].samples.median.value, 1 + 0.5);
}

TEST(LearnedRows, WhereRanksShareCoresProcessorTimeCounts) {
  std::vector<RankSteps> ranks;
  for (int r : {0, 1}) ranks.push_back({r, {Step{{0, 4, 1.5}, {4, 5, 0.5}, {5, 7, 1}}}});
  RunConditions conditions = twoCores();
  conditions.cores = 1;
  const LearnedRows rows = learnedRows(withWork(dataParallel()), ranks, conditions);
  ASSERT_EQ(rows.operators.size(), 1u);
  EXPECT_EQ(rows.operators[0].busy, 1);
  EXPECT_DOUBLE_EQ(rows.operators[0].samples.median.value, (1.5 + 1) / 2);
  ASSERT_EQ(rows.collectives.size(), 1u);
  EXPECT_EQ(rows.collectives[0].groups, 1);
}

TEST(LearnedRows, NameTheTypes) {
  Binding binding;
  binding.inputs.resize(2);
  binding.outputs.resize(1);
  binding.inputs[0].type = {DType::f32, {2, 3}};
  binding.inputs[1].type = {DType::bf16, {3}};
  binding.outputs[0].type = {DType::f32, {}};
  EXPECT_EQ(typesText(binding), "fp32[2,3] bf16[3] -> fp32[]");
}

}  // namespace
}  // namespace meshplan
