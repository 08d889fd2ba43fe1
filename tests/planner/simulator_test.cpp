// SPDX-License-Identifier: Apache-2.0
#include "planner/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "tests/planner/pipeline_program.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

Timeline run(const PipelineProgram& p, SimulationOptions options = {}) {
  return simulate(p.program, p.times, options);
}

Timeline run(const char* text, SimulationOptions options = {}, double computeSlowdown = 1,
             double collectiveSlowdown = 1) {
  const ProgramText p = parseProgram(text);
  return simulate(p.program, {p.times, {}, computeSlowdown, collectiveSlowdown}, options);
}

// ---- The naive reference: relax start times until nothing changes. Slowdowns 1, no shared links.
// ----

struct Node {
  size_t rankClass;
  const Instruction* in;
  int32_t microBatch;
  double seconds;
  std::vector<size_t> after;  // must have ended
  double start = 0, end = 0;
};

std::vector<Node> nodesOf(const Program& program, const InstructionTimes& times) {
  std::vector<Node> nodes;
  for (size_t c = 0; c < program.rankClasses.size(); ++c) {
    std::vector<size_t> mine;
    for (const Call& call : program.rankClasses[c].calls) {
      const size_t base = nodes.size();
      const Routine& routine = program.routines[call.routine];
      for (size_t i = 0; i < routine.instructions.size(); ++i) {
        const Instruction& in = routine.instructions[i];
        Node node{c, &in, call.microBatch, times.times[call.routine][i].value, {}, 0, 0};
        for (uint32_t w : in.waits) node.after.push_back(base + w);
        for (size_t earlier : mine) {
          const size_t s = size_t(nodes[earlier].in->stream);
          if (nodes[earlier].in->stream == in.stream || (in.drains >> s & 1))
            node.after.push_back(earlier);
        }
        mine.push_back(nodes.size());
        nodes.push_back(node);
      }
    }
  }
  return nodes;
}

// Nodes that start together: a send with its receive, the members of a joint collective.
std::vector<std::vector<size_t>> meetings(const std::vector<Node>& nodes) {
  std::map<std::array<int64_t, 4>, std::vector<size_t>> byKey;
  std::map<std::pair<size_t, int32_t>, int64_t> occurrence;
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Instruction& in = *nodes[n].in;
    const bool transfer =
        in.kind == Instruction::Kind::send || in.kind == Instruction::Kind::receive;
    if (transfer)
      byKey[{in.boundary, in.backwardDirection, nodes[n].microBatch, 0}].push_back(n);
    else if (in.axes.has(MeshAxis::pipeline))
      byKey[{in.boundary, 0, occurrence[{nodes[n].rankClass, in.boundary}]++, 1}].push_back(n);
  }
  std::vector<std::vector<size_t>> out;
  for (auto& [key, list] : byKey) out.push_back(list);
  return out;
}

std::vector<Node> reference(const Program& program, const InstructionTimes& times) {
  std::vector<Node> nodes = nodesOf(program, times);
  const std::vector<std::vector<size_t>> together = meetings(nodes);
  for (bool changed = true; changed;) {
    changed = false;
    const auto raise = [&](double& value, double to) {
      if (to > value) value = to, changed = true;
    };
    for (Node& node : nodes) {
      for (size_t a : node.after) raise(node.start, nodes[a].end);
      raise(node.end, node.start + node.seconds);
    }
    for (const std::vector<size_t>& meeting : together) {
      double start = 0, seconds = 0;
      for (size_t n : meeting) {
        start = std::max(start, nodes[n].start);
        seconds = std::max(seconds, nodes[n].seconds);
      }
      for (size_t n : meeting) {
        raise(nodes[n].start, start);
        raise(nodes[n].end, start + seconds);
      }
    }
  }
  return nodes;
}

TEST(Simulator, AgreesWithTheNaiveReferenceOnRandomPrograms) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    const PipelineProgram p = randomProgram(seed);
    const std::vector<Node> expected = reference(p.program, p.times);
    double stepTime = 0;
    std::multimap<size_t, std::pair<double, double>> expectedSpans, spans;
    for (const Node& n : expected) stepTime = std::max(stepTime, n.end);
    const Timeline fast = run(p), recorded = run(p, {.recordSpans = true});
    ASSERT_NEAR(fast.stepTime.value, stepTime, 1e-9 * stepTime) << "seed " << seed;
    ASSERT_NEAR(recorded.stepTime.value, stepTime, 1e-9 * stepTime) << "seed " << seed;
    ASSERT_EQ(recorded.spans.size(), expected.size());
    ASSERT_EQ(fast.events, expected.size());
    std::map<std::array<uint32_t, 3>, const Span*> byId;
    for (const Span& s : recorded.spans) byId[{s.rankClass, s.call, s.instruction}] = &s;
    size_t n = 0;
    for (uint32_t c = 0; c < p.program.rankClasses.size(); ++c)
      for (uint32_t call = 0; call < p.program.rankClasses[c].calls.size(); ++call) {
        const Routine& r = p.program.routines[p.program.rankClasses[c].calls[call].routine];
        for (uint32_t i = 0; i < r.instructions.size(); ++i, ++n) {
          const Span* span = byId.at({c, call, i});
          ASSERT_NEAR(span->start.value, expected[n].start, 1e-9 * stepTime) << "seed " << seed;
          ASSERT_NEAR(span->end.value, expected[n].end, 1e-9 * stepTime) << "seed " << seed;
        }
      }
  }
}

TEST(Simulator, CategoriesAddUpToTheStepTimeOnEveryRankClass) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    PipelineProgram p = randomProgram(seed);
    p.times.computeSlowdown = seed % 2 ? 1.1 : 1;
    p.times.collectiveSlowdown = seed % 3 ? 1.3 : 1;
    for (const bool record : {false, true}) {
      const Timeline t = run(p, {.recordSpans = record});
      for (const RankClassSummary& c : t.rankClasses) {
        ASSERT_NEAR(c.time.total().value, t.stepTime.value, 1e-9 * t.stepTime.value);
        ASSERT_GE(c.time.bubble.value, 0);
        ASSERT_LE(c.time.recompute.value, c.time.compute.value + 1e-12);
        ASSERT_GE(c.time.communication.value + 1e-9, c.time.exposedCommunication.value);
      }
    }
  }
}

TEST(Simulator, ContractionChangesNothingEvenWithSlowdownsAndMemory) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    PipelineProgram p = randomProgram(seed);
    p.times.computeSlowdown = 1.2;
    p.times.collectiveSlowdown = 1.5;
    const Timeline fast = run(p), slow = run(p, {.recordSpans = true, .recordMemory = true});
    ASSERT_NEAR(fast.stepTime.value, slow.stepTime.value, 1e-9 * slow.stepTime.value)
        << "seed " << seed;
    for (size_t c = 0; c < slow.rankClasses.size(); ++c) {
      const TimeByCategory &a = fast.rankClasses[c].time, &b = slow.rankClasses[c].time;
      ASSERT_NEAR(a.compute.value, b.compute.value, 1e-9) << "seed " << seed;
      ASSERT_NEAR(a.optimizer.value, b.optimizer.value, 1e-9) << "seed " << seed;
      ASSERT_NEAR(a.recompute.value, b.recompute.value, 1e-9) << "seed " << seed;
      ASSERT_NEAR(a.exposedCommunication.value, b.exposedCommunication.value, 1e-9);
      ASSERT_NEAR(a.communication.value, b.communication.value, 1e-9) << "seed " << seed;
    }
  }
}

TEST(Simulator, IsDeterministic) {
  const PipelineProgram p = randomProgram(7);
  const Timeline a = run(p, {.recordSpans = true}), b = run(p, {.recordSpans = true});
  ASSERT_EQ(a.spans.size(), b.spans.size());
  for (size_t i = 0; i < a.spans.size(); ++i) {
    EXPECT_EQ(a.spans[i].start, b.spans[i].start);
    EXPECT_EQ(a.spans[i].end, b.spans[i].end);
    EXPECT_EQ(a.spans[i].instruction, b.spans[i].instruction);
  }
}

// ---- Closed forms ----

TEST(Simulator, TheBubbleOfGpipeAndOneFOneBIsStagesMinusOneOverMicroBatches) {
  for (ScheduleKind kind : {ScheduleKind::gpipe, ScheduleKind::oneFOneB})
    for (int64_t p = 1; p <= 6; ++p)
      for (int64_t m = 1; m <= 12; ++m) {
        const Timeline t = run(pipelineProgram({.schedule = kind, .stages = p, .microBatches = m}));
        const double ideal = 3.0 * double(m);
        EXPECT_DOUBLE_EQ(t.stepTime.value, ideal + 3.0 * double(p - 1)) << p << " " << m;
        for (const RankClassSummary& c : t.rankClasses)
          EXPECT_NEAR(c.time.bubble.value / ideal, double(p - 1) / double(m), 1e-12);
      }
}

TEST(Simulator, InterleavingDividesTheBubbleByTheVirtualStages) {
  for (int64_t p = 2; p <= 6; ++p)
    for (int64_t rounds = 1; rounds <= 4; ++rounds)
      for (int64_t v = 1; v <= 3; ++v) {
        const int64_t m = rounds * p;
        const Timeline t = run(pipelineProgram({.schedule = ScheduleKind::interleaved,
                                                .stages = p,
                                                .microBatches = m,
                                                .virtualStages = v}));
        const double ideal = 3.0 * double(m * v);
        EXPECT_NEAR((t.stepTime.value - ideal) / ideal, double(p - 1) / double(v * m), 1e-12)
            << p << " " << m << " " << v;
      }
}

TEST(Simulator, EverySmallScheduleRunsWithTransfers) {
  for (int64_t p = 1; p <= 6; ++p)
    for (int64_t m = 1; m <= 12; ++m)
      for (int64_t v = 1; v <= 3; ++v) {
        if (v > 1 && m % p != 0) continue;
        const ScheduleKind kind = v > 1 ? ScheduleKind::interleaved : ScheduleKind::oneFOneB;
        const PipelineProgram program = pipelineProgram({.schedule = kind,
                                                         .stages = p,
                                                         .microBatches = m,
                                                         .virtualStages = v,
                                                         .transfer = 0.25});
        EXPECT_NO_THROW(validate(program.program));
        const Timeline t = run(program);
        EXPECT_GE(t.stepTime.value, 3.0 * double(m * v)) << p << " " << m << " " << v;
      }
}

TEST(Simulator, TheGradientReductionBesideTheBackwardLeavesOnlyItsTailExposed) {
  // Four layers, backward 2 s each, a reduction of 3 s behind each: 2 s of compute, then 4 x 3 s in
  // a row.
  const Timeline t = run(
      pipelineProgram({.stages = 1, .microBatches = 1, .layers = 4, .gradients = 3, .update = 1}));
  EXPECT_DOUBLE_EQ(t.stepTime.value, 4 + 2 + 12 + 1);
  const TimeByCategory& c = t.rankClasses[0].time;
  EXPECT_DOUBLE_EQ(c.compute.value, 4 + 8);
  EXPECT_DOUBLE_EQ(c.exposedCommunication.value, 12 - 6);
  EXPECT_DOUBLE_EQ(c.communication.value, 12);
  EXPECT_DOUBLE_EQ(c.optimizer.value, 1);
  EXPECT_DOUBLE_EQ(c.bubble.value, 0);
}

TEST(Simulator, BlockingTensorCollectivesAddUp) {
  const PipelineProgram p =
      pipelineProgram({.stages = 1, .microBatches = 3, .layers = 5, .tensor = 0.5});
  const Timeline t = run(p);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 3 * (5 * (1 + 0.5) + 5 * (2 + 0.5)));
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.exposedCommunication.value, 15);
}

// ---- Rules, one by one ----

TEST(Simulator, ATransferStartsWhenBothSidesHavePosted) {
  const Timeline t = run(R"(
    routine A forward 0: compute 1; send 2 after 0 to 1 boundary 0
    routine B forward 1: compute 5; receive 0 after 0 from 0 boundary 0; compute 1 after 1
    stage 0: A
    stage 1: B
  )",
                         {.recordSpans = true});
  EXPECT_DOUBLE_EQ(t.stepTime.value, 5 + 2 + 1);
  for (const Span& s : t.spans)
    if (s.kind == Instruction::Kind::send || s.kind == Instruction::Kind::receive) {
      EXPECT_DOUBLE_EQ(s.start.value, 5);
      EXPECT_DOUBLE_EQ(s.end.value, 7);
    }
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.exposedCommunication.value, 2);
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.bubble.value, 5);
}

TEST(Simulator, ACollectiveOverThePipelineStartsWhenTheLastStageArrives) {
  const Timeline t = run(R"(
    routine A update 0: compute 1; data 2 after 0 pipeline 9; compute 1 after 1
    routine B update 0: compute 4; data 3 after 0 pipeline 9; compute 1 after 1
    routine C update 0: compute 2
    stage 0: A A
    stage 1: C
    stage 2: B B
  )",
                         {.recordSpans = true});
  EXPECT_DOUBLE_EQ(t.stepTime.value, 2 * (4 + 3 + 1));
}

TEST(Simulator, StreamsAreQueuesAndDrainsWaitForEarlierCalls) {
  const Timeline t = run(R"(
    routine A forward 0: compute 1; data 10 after 0
    routine B forward 0: compute 1; compute 1 drain data; tensor 1 drain compute
    stage 0: A B A
  )",
                         {.recordSpans = true});
  EXPECT_DOUBLE_EQ(t.spans.back().end.value, 11 + 1 + 1 + 10);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 23);
}

TEST(Simulator, ComputeAndCollectivesSlowEachOtherOnlyWhileTheyOverlap) {
  // Alone until 1; then both: the collective (1 s) at half speed until 3, compute did 2/1.25 = 1.6
  // of its 4 s.
  const Timeline t =
      run("routine A forward 0: compute 1; compute 4; data 1 after 0\nstage 0: A", {}, 1.25, 2);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 1 + 2 + (4 - 1.6));
  EXPECT_DOUBLE_EQ(t.rankClasses[0].time.communication.value, 2);
}

TEST(Simulator, TransfersSlowComputeOnBothSidesButAreNotSlowed) {
  const Timeline t = run(R"(
    routine A forward 0: send 2 to 1 boundary 0; compute 4
    routine B forward 1: receive 0 from 0 boundary 0; compute 3
    stage 0: A
    stage 1: B
  )",
                         {.recordSpans = true}, 2, 4);
  EXPECT_DOUBLE_EQ(t.stepTime.value, 2 + 3);
  EXPECT_DOUBLE_EQ(t.rankClasses[1].time.compute.value, 2 + 2);
}

InstructionTimes withHost(const ProgramText& p, double each) {
  InstructionTimes times{p.times};
  for (const auto& routine : p.times) times.host.emplace_back(routine.size(), Seconds(each));
  return times;
}

TEST(Simulator, TheHostIssuesAheadOfTheDeviceAndHoldsUpSmallWork) {
  const ProgramText p = parseProgram(R"(
    routine A forward 0: compute 5; compute 1; compute 1
    stage 0: A A
  )");
  // Issued at 2, 4, ... 12: the first call runs from 2 to 9, the second one from 9 to 16.
  EXPECT_DOUBLE_EQ(simulate(p.program, withHost(p, 2), {}).stepTime.value, 16);
  // Issued at 6, 12, ... 36: what comes after the last issue is one second.
  const Timeline bound = simulate(p.program, withHost(p, 6), {});
  EXPECT_DOUBLE_EQ(bound.stepTime.value, 37);
  EXPECT_DOUBLE_EQ(bound.rankClasses[0].time.bubble.value, 37 - 14);
}

TEST(Simulator, AHostThatWaitsForATransferIssuesTheRestAfterIt) {
  const char* kText = R"(
    routine A forward 0: compute 1; send 10 to 1 boundary 0
    routine B forward 1: receive 0 from 0 boundary 0; compute 1 after 0
    stage 0: A
    stage 1: B
  )";
  ProgramText p = parseProgram(kText);
  // Issued while the transfer ran: 2 + 10 + 1 after the host's first two instructions.
  EXPECT_DOUBLE_EQ(simulate(p.program, withHost(p, 1), {}).stepTime.value, 13);
  p.program.routines[1].instructions[1].drains = streamBit(Stream::receive);
  EXPECT_DOUBLE_EQ(simulate(p.program, withHost(p, 1), {}).stepTime.value, 14);
}

TEST(Simulator, ContractionChangesNothingUnderAHost) {
  for (double host : {0.01, 0.5, 1.0, 3.0}) {
    PipelineProgram p = pipelineProgram(
        {.stages = 3, .microBatches = 5, .layers = 4, .tensor = 0.3, .transfer = 0.2, .update = 1});
    for (const auto& routine : p.times.times)
      p.times.host.emplace_back(routine.size(), Seconds(host));
    EXPECT_NEAR(run(p).stepTime.value, run(p, {.recordSpans = true}).stepTime.value, 1e-9);
  }
}

TEST(Simulator, CollectivesOfARankShareALinkFairly) {
  ProgramText p = parseProgram("routine A forward 0: data 2; expert 4; tensor 3\nstage 0: A");
  InstructionTimes times{p.times, {{{0, 1}, {0, 1}, {1, 0}}}};
  // Both on the network at half speed until the first ends at 4; then the other has 2 s left.
  EXPECT_DOUBLE_EQ(simulate(p.program, times, {}).stepTime.value, 6);
  times.demands[0][1] = {0, 0.25f};  // leaves 0.75 of the network to the first
  const Timeline t = simulate(p.program, times, {.recordSpans = true});
  EXPECT_DOUBLE_EQ(t.stepTime.value, 4);
  EXPECT_DOUBLE_EQ(t.spans[0].end.value - t.spans[0].start.value, 3);
}

TEST(Simulator, ATransferSharesTheLinksOfBothItsEnds) {
  ProgramText p = parseProgram(R"(
    routine A forward 0: send 2 to 1 boundary 0
    routine B forward 1: receive 0 from 0 boundary 0; data 5; send 1 to 2 boundary 1
    routine C forward 2: receive 0 from 1 boundary 1
    stage 0: A
    stage 1: B
    stage 2: C
  )");
  const InstructionTimes times{p.times, {{{0, 1}}, {{0, 0}, {0, 1}, {0, 1}}, {{0, 0}}}};
  const Timeline t = simulate(p.program, times, {.recordSpans = true});
  // Inwards at stage 1: transfer 0 and the collective; outwards: the collective and transfer 1. All
  // at half speed: transfer 1 ends at 2 (the collective is still held up inwards), transfer 0 at 4,
  // then 3 s of the collective.
  EXPECT_DOUBLE_EQ(t.stepTime.value, 7);
  EXPECT_DOUBLE_EQ(t.spans[0].end.value, 4);
}

TEST(Simulator, LinkSharingNeverSpeedsUpAndNeverIdlesALink) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    PipelineProgram p = randomProgram(seed);
    const double alone = run(p).stepTime.value;
    for (const auto& routine : p.times.times)
      p.times.demands.emplace_back(routine.size(), LinkDemand{0.5, 0.9f});
    const Timeline shared = run(p), recorded = run(p, {.recordSpans = true});
    ASSERT_NEAR(shared.stepTime.value, recorded.stepTime.value, 1e-9 * alone) << seed;
    for (const RankClassSummary& c : shared.rankClasses)
      ASSERT_NEAR(c.time.total().value, shared.stepTime.value, 1e-9 * alone);
  }
}

// ---- The critical path ----

TEST(Simulator, TheCriticalPathFillsTheStepWithoutGaps) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const PipelineProgram p = randomProgram(seed);
    const Timeline t = run(p, {.recordSpans = true});
    double end = 0;
    for (size_t i : criticalPath(p.program, t)) {
      ASSERT_NEAR(t.spans[i].start.value, end, 1e-9) << "seed " << seed;
      end = t.spans[i].end.value;
    }
    ASSERT_EQ(end, t.stepTime.value);
  }
}

// ---- What cannot run ----

std::string problemOf(const char* text) {
  try {
    run(text);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    return e.what();
  }
  return "";
}

TEST(Simulator, ADeadlockIsAnErrorThatNamesTheBlockedInstructions) {
  const std::string problem = problemOf(R"(
    routine A forward 0: receive 0 from 1 boundary 1; compute 1 after 0; send 1 after 1 to 1 boundary 0
    routine B forward 1: receive 0 from 0 boundary 0; compute 1 after 0; send 1 after 1 to 0 boundary 1
    stage 0: A
    stage 1: B
  )");
  EXPECT_THAT(problem, HasSubstr("stage 0 receive: instruction 0 of chunk 0, micro-batch 0 has "
                                 "posted boundary 1 and nobody answers"));
  EXPECT_THAT(problem, HasSubstr("stage 1 send: instruction 2 of chunk 1"));
}

TEST(Simulator, ATransferToNobodyIsADeadlock) {
  EXPECT_THAT(problemOf("routine A forward 0: send 1 to 7 boundary 0\nstage 0: A"),
              HasSubstr("deadlocks"));
}

TEST(Simulator, ImpossibleTimesAreErrors) {
  EXPECT_THAT(problemOf("routine A forward 0: compute -1\nstage 0: A"), HasSubstr("takes -1 s"));
  EXPECT_THAT(problemOf("routine A forward 0: compute nan\nstage 0: A"), HasSubstr("takes nan s"));
}

TEST(Simulator, AnEmptyProgramTakesNoTime) {
  EXPECT_EQ(simulate(Program{}, {}, {}).stepTime.value, 0);
  EXPECT_EQ(run("stage 0: ").stepTime.value, 0);
}

}  // namespace
}  // namespace meshplan
