// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/activity_recorder.h"

#include <gtest/gtest.h>

namespace meshplan {
namespace {

/// Two calls of a routine of three instructions.
Program smallProgram() {
  Program program;
  program.routines.emplace_back().instructions.resize(3);
  program.rankClasses.emplace_back().calls.resize(2);
  return program;
}

/// Hands out what the test put in, for the ids that were pushed.
class FakeTrace : public ActivityTrace {
 public:
  void push(uint64_t id) override {
    EXPECT_EQ(open, 0u);
    open = id;
    pushed.push_back(id);
  }
  void pop() override {
    EXPECT_NE(open, 0u);
    open = 0;
  }
  std::vector<Activity> take(uint64_t begin, uint64_t end) override {
    std::vector<Activity> taken;
    for (const Activity& a : activities)
      if (a.id >= begin && a.id < end) taken.push_back(a);
    std::erase_if(activities, [&](const Activity& a) { return a.id >= begin && a.id < end; });
    return taken;
  }
  int64_t lost() const override { return 0; }
  std::string name() const override { return "fake"; }

  bool stopped = false;
  uint64_t open = 0;
  std::vector<uint64_t> pushed;
  std::vector<Activity> activities;

 private:
  void stop() override { stopped = true; }
};

TEST(ActivityRecorder, SpansReachFromTheFirstKernelToTheLast) {
  const Program program = smallProgram();
  FakeTrace trace;
  const auto epoch = StepRecorder::Clock::time_point(std::chrono::seconds(5));
  ActivityRecorder recorder(trace, 3, program, 0, epoch, 4);
  recorder.beginStep();
  for (uint32_t call = 0; call < 2; ++call)
    for (uint32_t i = 0; i < 3; ++i) {
      recorder.begin(call, i);
      recorder.end(call, i);
    }
  ASSERT_EQ(trace.pushed.size(), 6u);
  const int64_t second = 1'000'000'000, from = 5 * second;
  // Instruction 1 of the first call has two kernels, the second call's instruction 0 one; out of
  // order, and one of another rank among them.
  trace.activities = {{trace.pushed[1], from + 30, from + 40},
                      {trace.pushed[3], from + 2 * second, from + 3 * second},
                      {trace.pushed[1], from + 10, from + 20},
                      {trace.pushed[1] + (uint64_t{1} << 40), 1, 2}};
  recorder.endStep();
  const StepRecorder::Step& step = recorder.steps().back();
  EXPECT_EQ(step[0].end, 0);
  EXPECT_NEAR(step[1].start, 10e-9, 1e-15);
  EXPECT_NEAR(step[1].end, 40e-9, 1e-15);
  EXPECT_EQ(step[2].start, step[1].end);  // ran nothing
  EXPECT_EQ(step[2].end, step[1].end);
  EXPECT_NEAR(step[3].start, 2, 1e-9);
  EXPECT_NEAR(step[3].end, 3, 1e-9);
  EXPECT_EQ(trace.activities.size(), 1u);
}

TEST(ActivityRecorder, RanksAreToldApart) {
  const Program program = smallProgram();
  FakeTrace trace;
  ActivityRecorder first(trace, 0, program, 0, {}, 1), second(trace, 1, program, 0, {}, 1);
  first.begin(0, 2);
  first.end(0, 2);
  second.begin(0, 2);
  second.end(0, 2);
  EXPECT_NE(trace.pushed[0], trace.pushed[1]);
  EXPECT_NE(trace.pushed[0], 0u);
  first.finish();
  EXPECT_FALSE(trace.stopped);
  second.finish();
  EXPECT_TRUE(trace.stopped);
}

}  // namespace
}  // namespace meshplan
