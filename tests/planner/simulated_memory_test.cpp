// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "planner/simulator.h"
#include "tests/planner/pipeline_program.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

Timeline run(const PipelineProgram& p, SimulationOptions options = {}) {
  return simulate(p.program, p.times, options);
}

Timeline run(const char* text, SimulationOptions options) {
  const ProgramText p = parseProgram(text);
  return simulate(p.program, {p.times}, options);
}

TEST(SimulatedMemory, RisesAtStartsFallsAtEndsAndThePeakHasAnOwner) {
  const char* text = R"(
    routine F forward 0: compute 1 alloc a=10:saved; compute 2 alloc w=5:workspace free w; compute 1
    routine B backward 0: compute 2 alloc g=3; compute 1 free a free g
    stage 0 resident p=100:weights resident o=50:optimizer: F@0 F@1 B@0 B@1
  )";
  for (const bool record : {false, true}) {
    const RankClassSummary c = run(text, {.recordMemory = record}).rankClasses[0];
    EXPECT_EQ(c.peak.value, 150 + 20 + 5);
    EXPECT_DOUBLE_EQ(c.peakTime.value, 4 + 1);
    EXPECT_EQ(c.peakCall, 1u);
    EXPECT_EQ(c.peakInstruction, 1u);
    EXPECT_EQ(c.peakByCategory[size_t(MemoryCategory::weights)].value, 100);
    EXPECT_EQ(c.peakByCategory[size_t(MemoryCategory::optimizer)].value, 50);
    EXPECT_EQ(c.peakByCategory[size_t(MemoryCategory::activations)].value, 20);
    EXPECT_EQ(c.peakByCategory[size_t(MemoryCategory::workspace)].value, 5);
    EXPECT_EQ(c.memory.empty(), !record);
  }
  const RankClassSummary c = run(text, {.recordMemory = true}).rankClasses[0];
  EXPECT_EQ(c.memory.front().bytes.value, 150);
  EXPECT_EQ(c.memory.back().bytes.value, 150);
  for (size_t i = 1; i < c.memory.size(); ++i)
    EXPECT_GE(c.memory[i].time.value, c.memory[i - 1].time.value);
}

TEST(SimulatedMemory, ThePeakIsTheSameWithAndWithoutTheCurve) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    // Without coincidences: of changes at one instant the order is open, and the peak with it.
    double irregular = 1e-3;
    PipelineProgram p = randomProgram(seed);
    for (std::vector<Seconds>& times : p.times.times)
      for (Seconds& t : times) t += Seconds(irregular *= 1.0137);
    const Timeline fast = run(p), slow = run(p, {.recordMemory = true});
    for (size_t c = 0; c < slow.rankClasses.size(); ++c) {
      const RankClassSummary &a = fast.rankClasses[c], &b = slow.rankClasses[c];
      ASSERT_EQ(a.peak.value, b.peak.value) << "seed " << seed << " class " << c;
      ASSERT_NEAR(a.peakTime.value, b.peakTime.value, 1e-9) << "seed " << seed;
      ASSERT_EQ(a.peakByCategory, b.peakByCategory) << "seed " << seed;
      int64_t highest = 0;
      for (const MemoryPoint& point : b.memory) highest = std::max(highest, point.bytes.value);
      ASSERT_EQ(highest, b.peak.value);
      ASSERT_EQ(b.memory.back().bytes.value, b.memory.front().bytes.value) << "a leak";
    }
  }
}

TEST(SimulatedMemory, SavedActivationsPeakAtTheMicroBatchesInFlight) {
  for (int64_t p = 1; p <= 4; ++p)
    for (int64_t m = 1; m <= 8; ++m) {
      const Timeline t =
          run(pipelineProgram({.stages = p, .microBatches = m, .layers = 3, .savedBytes = 7}));
      for (int64_t s = 0; s < p; ++s)
        EXPECT_EQ(t.rankClasses[size_t(s)].peak.value,
                  21 * inFlight(ScheduleKind::oneFOneB, s, p, m, 1)[0]);
    }
}

}  // namespace
}  // namespace meshplan
