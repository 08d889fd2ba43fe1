// SPDX-License-Identifier: Apache-2.0
#include "planner/search/step_evidence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/program_text.h"

namespace meshplan {
namespace {

/// Two operators and an all-reduce of a second each.
struct Example {
  Program program;
  InstructionTimes times;
  TimeByCategory time;

  Example(Evidence first, Evidence second, Evidence communication) {
    program = parseProgram(R"(
      routine A forward 0: compute 1; compute 1; tensor 1 bytes 1000
      stage 0: A
    )")
                  .program;
    program.work.resize(2);
    program.work[0].def = findOperatorDef("MatMul");
    program.work[1].def = findOperatorDef("Relu");
    program.routines[0].instructions[1].work = 1;
    times.times = {{Seconds(1), Seconds(1), Seconds(1)}};
    times.evidence = {{first, second, communication}};
    time.compute = Seconds(2);
    time.exposedCommunication = Seconds(1);
  }

  StepEvidence evidence() const { return stepEvidence(program, times, time, 0); }
};

constexpr Evidence kMeasured{0.01f, Provenance::measured};
constexpr Evidence kInterpolated{0.05f, Provenance::interpolated};
constexpr Evidence kAnalytic{0.15f, Provenance::analytic};

TEST(StepEvidence, SharesAreOfTheTime) {
  const StepEvidence e = Example(kMeasured, kInterpolated, kAnalytic).evidence();
  for (Provenance p : {Provenance::measured, Provenance::interpolated, Provenance::analytic})
    EXPECT_NEAR(e.share(p), 1.0 / 3, 1e-12);
  EXPECT_TRUE(e.measuredAtAll());
  EXPECT_FALSE(Example(kAnalytic, kAnalytic, kAnalytic).evidence().measuredAtAll());
}

TEST(StepEvidence, TheWeakestKindOfMoreThanAFewPerCentNamesTheStep) {
  const auto named = [](double measured, double interpolated, double analytic) {
    StepEvidence e;
    e.shares = {analytic, interpolated, measured};
    return e.provenance();
  };
  EXPECT_EQ(named(0, 0, 1), Provenance::analytic);
  EXPECT_EQ(named(0.9, 0, 0.1), Provenance::analytic);
  EXPECT_EQ(named(0.9, 0.07, 0.03), Provenance::interpolated);
  EXPECT_EQ(named(0.94, 0.03, 0.03), Provenance::interpolated);
  EXPECT_EQ(named(0.97, 0.01, 0.02), Provenance::measured);
  EXPECT_EQ(named(0, 0, 0), Provenance::analytic);
}

TEST(StepEvidence, MeasuredPartsLeaveASmallInterval) {
  const double measured = Example(kMeasured, kMeasured, kMeasured).evidence().uncertainty;
  const double interpolated =
      Example(kInterpolated, kInterpolated, kInterpolated).evidence().uncertainty;
  const double analytic = Example(kAnalytic, kAnalytic, kAnalytic).evidence().uncertainty;
  EXPECT_LT(measured, 0.05);
  EXPECT_LT(measured, interpolated);
  EXPECT_LT(interpolated, analytic);
  const double square = 2 * 0.15 * 0.15 + 0.4 * 0.4 + 9 * 0.07 * 0.07;
  EXPECT_NEAR(analytic, std::sqrt(square) / 3, 1e-6);
}

TEST(StepEvidence, WaitingForTheHostIsAnalytic) {
  Example example(kMeasured, kMeasured, kMeasured);
  example.time.host = Seconds(3);
  const StepEvidence e = example.evidence();
  EXPECT_NEAR(e.share(Provenance::analytic), 0.5, 1e-12);
  EXPECT_GT(e.uncertainty, 0.25 / 2);
}

}  // namespace
}  // namespace meshplan
