// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "tests/planner/pipeline_program.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

Timeline runSerial(std::string_view text, SharedCores shared = {}, SimulationOptions options = {}) {
  const ProgramText p = parseProgram(text);
  InstructionTimes times{p.times};
  times.serial = true;
  times.shared = shared;
  return simulate(p.program, times, options);
}

TEST(SerialSimulation, ARankDoesOneThingAfterTheOther) {
  const char* kText = R"(
    routine A forward 0: compute 1; data 2; compute 4
    stage 0: A A
  )";
  const Timeline t = runSerial(kText);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 14);
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.compute.value, 10);
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.exposedCommunication.value, 4);
}

TEST(SerialSimulation, AMessageWaitsForItsReceiver) {
  const Timeline t = runSerial(R"(
    routine A forward 0: send 1 to 1 boundary 0; compute 2
    routine B forward 1: compute 10; receive 3 from 0 boundary 0; compute 1 after 1
    stage 0: A
    stage 1: B
  )",
                               {}, {.recordSpans = true});
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.total().value, 14);
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.bubble.value, 14 - 3);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 10 + 3 + 1);
}

TEST(SerialSimulation, StagesThatSendToEachOtherDoNotDeadlock) {
  const Timeline t = runSerial(R"(
    routine A forward 0: send 1 to 1 boundary 0; receive 1 from 1 boundary 1 reverse
    routine B forward 1: send 2 to 0 boundary 1 reverse; receive 2 from 0 boundary 0
    stage 0: A
    stage 1: B
  )");
  EXPECT_DOUBLE_EQ(t.stepTime.value, 4);
}

constexpr const char* kTwoStages = R"(
  routine A forward 0: compute 4
  routine B forward 1: compute 2
  stage 0 x1: A
  stage 1 x1: B
)";

TEST(SerialSimulation, RanksShareTheCores) {
  EXPECT_DOUBLE_EQ(runSerial(kTwoStages, {.cores = 2}).stepTime.value, 4);
  // Both at half speed until 4, then the longer one alone.
  EXPECT_DOUBLE_EQ(runSerial(kTwoStages, {.cores = 1}).stepTime.value, 6);
  EXPECT_DOUBLE_EQ(runSerial(kTwoStages, {.cores = 2, .threads = 2}).stepTime.value, 6);
}

TEST(SerialSimulation, ARankIsFasterWhenItsNeighboursAreIdle) {
  // Two seconds of work are left when the other is done, and take one.
  EXPECT_DOUBLE_EQ(runSerial(kTwoStages, {.cores = 2, .loneSpeedup = 2}).stepTime.value, 3);
  // Of three ranks at once two are still busy: half of the speed-up.
  EXPECT_DOUBLE_EQ(SharedCores({.cores = 3, .loneSpeedup = 2}).rate(2), 1.5);
}

TEST(SerialSimulation, ACollectiveOfCrowdedRanksIsNotSlowedByThemselves) {
  const char* kText = R"(
    routine A forward 0: compute 1; data 3; compute 1
    stage 0 x4: A
  )";
  EXPECT_DOUBLE_EQ(runSerial(kText, {.cores = 2}).stepTime.value, 2 + 3 + 2);
}

/// When each instruction ends, by going through the lists again and again until nothing is left.
double reference(const Program& program, const InstructionTimes& times) {
  std::map<std::tuple<int32_t, bool, int32_t, int32_t>, double> sent;
  struct Rank {
    size_t call = 0, instruction = 0;
    double now = 0;
  };
  std::vector<Rank> ranks(program.rankClasses.size());
  double end = 0;
  for (bool progress = true; progress;) {
    progress = false;
    for (size_t c = 0; c < ranks.size(); ++c) {
      const RankClass& rankClass = program.rankClasses[c];
      Rank& r = ranks[c];
      for (; r.call < rankClass.calls.size(); ++r.call, r.instruction = 0) {
        const Call& call = rankClass.calls[r.call];
        const auto& list = program.routines[call.routine].instructions;
        for (; r.instruction < list.size(); ++r.instruction, progress = true) {
          const Instruction& in = list[r.instruction];
          if (in.kind == Instruction::Kind::receive) {
            const auto message =
                sent.find({in.boundary, in.backwardDirection, call.microBatch, rankClass.stage});
            if (message == sent.end()) break;
            r.now = std::max(r.now, message->second);
          }
          r.now += times.times[call.routine][r.instruction].value;
          end = std::max(end, r.now);
          if (in.kind == Instruction::Kind::send)
            sent[{in.boundary, in.backwardDirection, call.microBatch, in.peerStage}] = r.now;
        }
        if (r.instruction < list.size()) break;
      }
    }
  }
  for (size_t c = 0; c < ranks.size(); ++c)
    EXPECT_EQ(ranks[c].call, program.rankClasses[c].calls.size());
  return end;
}

TEST(SerialSimulation, AgreesWithGoingThroughTheLists) {
  for (const ScheduleKind schedule :
       {ScheduleKind::gpipe, ScheduleKind::oneFOneB, ScheduleKind::interleaved})
    for (const int64_t stages : {1, 2, 4})
      for (const double transfer : {0.0, 0.25, 3.0}) {
        PipelineOptions options;
        options.schedule = schedule;
        options.stages = stages;
        options.virtualStages = schedule == ScheduleKind::interleaved && stages > 1 ? 2 : 1;
        options.layers = 2;
        options.tensor = 0.125;
        options.gradients = 0.5;
        options.update = 1.5;
        options.transfer = transfer;
        PipelineProgram p = pipelineProgram(options);
        p.times.serial = true;
        const double expected = reference(p.program, p.times);
        EXPECT_DOUBLE_EQ(simulate(p.program, p.times, {}).stepTime.value, expected);
        EXPECT_DOUBLE_EQ(simulate(p.program, p.times, {.recordSpans = true}).stepTime.value,
                         expected);
      }
}

}  // namespace
}  // namespace meshplan
