// SPDX-License-Identifier: Apache-2.0
#include "core/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/program_text.h"

namespace meshplan {
namespace {

using testing::ElementsAre;

Span span(uint16_t rankClass, const Instruction& in, uint32_t call, uint32_t instruction,
          double start, double end) {
  return {rankClass, in.stream, in.kind, call, instruction, Seconds(start), Seconds(end)};
}

TEST(Timeline, TheTimeCategoriesAddUp) {
  const TimeByCategory t{.compute = Seconds(3),
                         .optimizer = Seconds(1),
                         .exposedCommunication = Seconds(2),
                         .bubble = Seconds(4),
                         .recompute = Seconds(1),
                         .communication = Seconds(5)};
  EXPECT_EQ(t.total(), Seconds(10));
}

TEST(Timeline, ThePeakRankClassIsTheFirstWithTheHighestPeak) {
  Timeline t;
  t.rankClasses.resize(4);
  t.rankClasses[1].peak = Bytes(7);
  t.rankClasses[2].peak = Bytes(9);
  t.rankClasses[3].peak = Bytes(9);
  EXPECT_EQ(t.peakRankClass(), 2u);
}

TEST(Timeline, TheCriticalPathCrossesStagesThroughTheSideThatCameLast) {
  const Program p = parseProgram(R"(
    routine A forward 0: compute 1; compute 2; send 1 after 1 to 1 boundary 0; data 1 after 0
    routine B forward 1: compute 1; receive 0 from 0 boundary 0; compute 3 after 1; tensor 1 after 0
    stage 0: A
    stage 1: B
  )")
                        .program;
  const auto &a = p.routines[0].instructions, &b = p.routines[1].instructions;
  Timeline t;
  t.spans = {span(0, a[0], 0, 0, 0, 1), span(1, b[0], 0, 0, 0, 1), span(0, a[1], 0, 1, 1, 3),
             span(0, a[3], 0, 3, 1, 2), span(1, b[3], 0, 3, 1, 2), span(0, a[2], 0, 2, 3, 4),
             span(1, b[1], 0, 1, 3, 4), span(1, b[2], 0, 2, 4, 7)};
  // compute, compute, send on stage 0, then compute on stage 1: the receive was posted long before.
  EXPECT_THAT(criticalPath(p, t), ElementsAre(0, 2, 5, 7));
}

TEST(Timeline, TheCriticalPathFollowsDrainsAndStreamOrderAcrossCalls) {
  const Program p = parseProgram(R"(
    routine A forward 0: compute 1; data 5 after 0
    routine U update 0: compute 1 drain data
    stage 0: A U
  )")
                        .program;
  Timeline t;
  t.spans = {span(0, p.routines[0].instructions[0], 0, 0, 0, 1),
             span(0, p.routines[0].instructions[1], 0, 1, 1, 6),
             span(0, p.routines[1].instructions[0], 1, 0, 6, 7)};
  EXPECT_THAT(criticalPath(p, t), ElementsAre(0, 1, 2));
  EXPECT_TRUE(criticalPath(p, Timeline{}).empty());
}

}  // namespace
}  // namespace meshplan
