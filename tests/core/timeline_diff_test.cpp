// SPDX-License-Identifier: Apache-2.0
#include "core/timeline_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/error.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kRounding = 1e-12;

struct Example {
  Program program;
  Graph graph;
  Timeline predicted, measured;
};

Operator named(const std::string& name, Phase phase) {
  Operator op;
  op.name = name;
  op.phase = phase;
  return op;
}

// Two stages, two micro-batches; every instruction has its turn, as on a processor.
Example example() {
  Example e;
  e.program = parseProgram(R"(
    routine F0 forward 0: compute 1; tensor 0.5 after 0 bytes 8; send 0.25 after 1 to 1 boundary 0 bytes 64
    routine F1 forward 1: receive 0.25 from 0 boundary 0 bytes 64; compute 1 after 0
    routine B1 backward 1: compute 1 recomputed; compute 2; compute 3; send 0.25 after 1 to 0 boundary 1 reverse bytes 32
    routine B0 backward 0: receive 0.25 from 1 boundary 1 reverse bytes 32; compute 2 after 0
    routine U update 0: compute 4
    stage 0: F0@0 F0@1 B0@0 B0@1 U
    stage 1: F1@0 B1@0 F1@1 B1@1
  )")
                  .program;
  const OpId a = e.graph.addOperator(named("a", Phase::forward));
  const OpId b = e.graph.addOperator(named("b", Phase::forward));
  const OpId bx = e.graph.addOperator(named("b", Phase::backwardInput));
  const OpId bw = e.graph.addOperator(named("b", Phase::backwardWeight));
  const OpId ax = e.graph.addOperator(named("a", Phase::backwardInput));
  auto& routines = e.program.routines;
  routines[0].instructions[0].op = a;
  routines[1].instructions[1].op = b;
  routines[2].instructions[0].op = b;
  routines[2].instructions[1].op = bx;
  routines[2].instructions[2].op = bw;
  routines[3].instructions[1].op = ax;
  return e;
}

// One instruction after the other on each stage, with lengths from `length`.
template <class F>
Timeline timelineOf(const Program& program, F length) {
  Timeline t;
  for (uint16_t c = 0; c < program.rankClasses.size(); ++c) {
    double now = 0;
    for (uint32_t call = 0; call < program.rankClasses[c].calls.size(); ++call) {
      const Routine& r = program.routines[program.rankClasses[c].calls[call].routine];
      for (uint32_t i = 0; i < r.instructions.size(); ++i) {
        const Instruction& in = r.instructions[i];
        const double seconds = length(c, call, i);
        t.spans.push_back({c, in.stream, in.kind, call, i, Seconds(now), Seconds(now + seconds)});
        now += seconds;
      }
    }
    t.stepTime = std::max(t.stepTime, Seconds(now));
  }
  t.rankClasses.resize(program.rankClasses.size());
  return t;
}

Example randomExample(unsigned seed) {
  Example e = example();
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> seconds(0.1, 3);
  e.predicted = timelineOf(e.program, [&](auto...) { return seconds(random); });
  e.measured = timelineOf(e.program, [&](auto...) { return seconds(random); });
  return e;
}

TimelineDiff diffOf(const Example& e) {
  return diffTimelines(e.program, e.graph, e.predicted, e.measured);
}

template <class Rows, class F>
Compared sumOf(const Rows& rows, F timeOf) {
  Compared sum;
  for (const auto& row : rows) sum += timeOf(row);
  return sum;
}

void expectNear(const Compared& a, const Compared& b) {
  EXPECT_NEAR(a.predicted.value, b.predicted.value, 1e-9);
  EXPECT_NEAR(a.measured.value, b.measured.value, 1e-9);
}

TEST(TimelineDiff, EveryTableAddsUpToAllInstructions) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Example e = randomExample(seed);
    const TimelineDiff diff = diffOf(e);
    const auto timeOf = [](const auto& row) { return row.time; };
    EXPECT_EQ(diff.byInstruction.size(), e.predicted.spans.size());
    expectNear(sumOf(diff.byInstruction, timeOf), diff.instructions);
    Compared grouped = sumOf(diff.byOperator, timeOf);
    grouped += sumOf(diff.byCollective, timeOf);
    expectNear(grouped, diff.instructions);
    expectNear(sumOf(diff.byStage, [](const auto& s) { return s.busy; }), diff.instructions);
    EXPECT_EQ(diff.step, (Compared{e.predicted.stepTime, e.measured.stepTime}));
  }
}

TEST(TimelineDiff, TheCategoriesOfAStageAddUpToTheStep) {
  const TimelineDiff diff = diffOf(randomExample(7));
  ASSERT_EQ(diff.byStage.size(), 2u);
  for (const ComparedStage& s : diff.byStage) {
    Compared sum = s.busy;
    sum += s.bubble;
    expectNear(sum, diff.step);
  }
}

template <class Rows>
double sharesOf(const Rows& rows) {
  double sum = 0;
  for (const auto& row : rows) sum += row.share;
  return sum;
}

TEST(TimelineDiff, SharesAddUpToOneAndTheWorstComesFirst) {
  const TimelineDiff diff = diffOf(randomExample(3));
  EXPECT_THAT(sharesOf(diff.byInstruction), DoubleNear(1, kRounding));
  EXPECT_THAT(sharesOf(diff.byOperator), DoubleNear(1, kRounding));
  EXPECT_THAT(sharesOf(diff.byCollective), DoubleNear(1, kRounding));
  EXPECT_THAT(sharesOf(diff.byStage), DoubleNear(1, kRounding));
  for (size_t i = 1; i < diff.byOperator.size(); ++i)
    EXPECT_GE(std::abs(diff.byOperator[i - 1].time.difference().value),
              std::abs(diff.byOperator[i].time.difference().value));
}

TEST(TimelineDiff, ATimelineDoesNotDifferFromItself) {
  Example e = randomExample(5);
  e.measured = e.predicted;
  const TimelineDiff diff = diffOf(e);
  EXPECT_EQ(diff.step.relativeError(), 0);
  for (const auto& row : diff.byOperator) {
    EXPECT_EQ(row.time.difference(), Seconds(0));
    EXPECT_EQ(row.share, 0);
  }
}

TEST(TimelineDiff, OperatorsAreToldApartByNameAndPhaseOverAllMicroBatches) {
  Example e = example();
  e.predicted = timelineOf(e.program, [](auto...) { return 1.0; });
  // The weight gradient of b takes five seconds instead of one, everything else as predicted.
  e.measured = timelineOf(e.program, [](uint16_t c, uint32_t call, uint32_t i) {
    return c == 1 && call % 2 == 1 && i == 2 ? 5.0 : 1.0;
  });
  const TimelineDiff diff = diffOf(e);
  ASSERT_FALSE(diff.byOperator.empty());
  const ComparedOperator& worst = diff.byOperator.front();
  EXPECT_EQ(worst.name, "b");
  EXPECT_EQ(worst.phase, "backward weight");
  EXPECT_EQ(worst.calls, 2);
  EXPECT_EQ(worst.time, (Compared{Seconds(2), Seconds(10)}));
  EXPECT_DOUBLE_EQ(worst.time.relativeError(), -0.8);
  EXPECT_EQ(worst.share, 1);
  std::vector<std::string> rows;
  for (const auto& row : diff.byOperator) rows.push_back(row.name + " " + row.phase);
  EXPECT_THAT(rows, testing::UnorderedElementsAre("b backward weight", "a forward", "b forward",
                                                  "b recompute", "b backward", "a backward",
                                                  "update update"));
}

TEST(TimelineDiff, CollectivesAndTransfersAreGroupedByKindAxesAndBytes) {
  const Example e = randomExample(11);
  const TimelineDiff diff = diffOf(e);
  std::vector<std::string> rows;
  for (const ComparedCollective& c : diff.byCollective) {
    EXPECT_EQ(c.calls, 2);
    rows.push_back(std::string(collectiveName(c.collective)) + " " + std::to_string(c.bytes.value) +
                   (c.kind == Instruction::Kind::send ? " sent" : ""));
  }
  const std::string transfer(collectiveName(CollectiveKind::sendReceive));
  EXPECT_THAT(rows,
              testing::UnorderedElementsAre("all-reduce 8", transfer + " 64 sent", transfer + " 64",
                                            transfer + " 32 sent", transfer + " 32"));
}

TEST(TimelineDiff, WhatOnlyOneSideHasIsKept) {
  Example e = randomExample(2);
  const Span last = e.measured.spans.back();
  e.measured.spans.pop_back();
  const TimelineDiff diff = diffOf(e);
  size_t alone = 0;
  for (const ComparedInstruction& row : diff.byInstruction) {
    EXPECT_TRUE(row.predicted);
    if (row.measured) continue;
    ++alone;
    EXPECT_EQ(row.call, last.call);
    EXPECT_EQ(row.instruction, last.instruction);
    EXPECT_EQ(row.time.measured, Seconds(0));
    EXPECT_TRUE(std::isinf(row.time.relativeError()));
  }
  EXPECT_EQ(alone, 1u);
}

TEST(TimelineDiff, SpansOfAnotherProgramAreRefused) {
  for (int what = 0; what < 3; ++what) {
    Example e = randomExample(2);
    Span& s = e.predicted.spans.front();
    if (what == 0) s.rankClass = 2;
    if (what == 1) s.call = 99;
    if (what == 2) s.instruction = 99;
    try {
      diffOf(e);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), HasSubstr("is not in the program"));
    }
  }
}

TEST(TimelineDiff, MemoryIsComparedByCategory) {
  Example e = randomExample(1);
  e.predicted.rankClasses[1].peakByCategory[size_t(MemoryCategory::weights)] = Bytes(100);
  e.measured.rankClasses[1].peakByCategory[size_t(MemoryCategory::weights)] = Bytes(100);
  e.measured.rankClasses[1].peakByCategory[size_t(MemoryCategory::workspace)] = Bytes(7);
  std::vector<std::tuple<int, MemoryCategory, int64_t, int64_t>> rows;
  for (const ComparedMemory& m : diffOf(e).byMemory)
    rows.emplace_back(m.rankClass, m.category, m.predicted.value, m.measured.value);
  EXPECT_THAT(rows, ElementsAre(std::tuple(1, MemoryCategory::weights, 100, 100),
                                std::tuple(1, MemoryCategory::workspace, 0, 7)));
}

TEST(TimeByCategory, OfOverlappingStreamsCountsOnlyExposedCommunication) {
  const Program p = parseProgram(R"(
    routine F forward 0: compute 2; data 3; compute 1 recomputed
    routine U update 0: compute 1 drain data
    stage 0: F U
  )")
                        .program;
  const auto span = [&](uint32_t call, uint32_t i, double start, double end) {
    const Instruction& in = p.routines[call].instructions[i];
    return Span{0, in.stream, in.kind, call, i, Seconds(start), Seconds(end)};
  };
  Timeline t;
  t.stepTime = Seconds(8);
  t.spans = {span(0, 0, 0, 2), span(0, 1, 1, 4), span(0, 2, 2, 3), span(1, 0, 5, 6)};
  const TimeByCategory time = timeByCategory(p, t, 0);
  EXPECT_EQ(time.compute, Seconds(3));
  EXPECT_EQ(time.recompute, Seconds(1));
  EXPECT_EQ(time.optimizer, Seconds(1));
  EXPECT_EQ(time.communication, Seconds(3));
  EXPECT_EQ(time.exposedCommunication, Seconds(1));
  EXPECT_EQ(time.bubble, Seconds(3));
  EXPECT_EQ(time.total(), t.stepTime);
}

}  // namespace
}  // namespace meshplan
