// SPDX-License-Identifier: Apache-2.0
#include "backend/loss_scale.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/backend/equivalence_cases.h"

namespace meshplan {
namespace {

TEST(LossScale, DoublesAfterTwoThousandGoodStepsInARow) {
  LossScale s;
  EXPECT_EQ(s.scale, 65536);
  for (int i = 0; i < 1999; ++i) s.finishStep(false);
  EXPECT_EQ(s, (LossScale{65536, 1999, 0}));
  s.finishStep(false);
  EXPECT_EQ(s, (LossScale{131072, 0, 0}));
}

TEST(LossScale, HalvesWithEveryOverflowAndCountsAnew) {
  LossScale s;
  s.finishStep(false);
  s.finishStep(true);
  EXPECT_EQ(s, (LossScale{32768, 0, 1}));
  s.finishStep(true);
  EXPECT_EQ(s, (LossScale{16384, 0, 2}));
}

TEST(LossScale, OverflowsWithoutScalingAreAnError) {
  LossScale s{2, 0, 0};
  s.finishStep(true);
  EXPECT_EQ(s.scale, 1);
  EXPECT_THROW(s.finishStep(true), Error);
}

TEST(LossScale, TheProcessorSaysThatItDoesNotTrainInFp16) {
  const EquivalenceSubject& subject = equivalenceSubjects().front();
  const TrainingModel model = prepared(subject, Precision::fp16);
  try {
    runPlan(model, planOf(model, kEquivalenceBatch, "dp=1,mbs=4", 1),
            randomInputs(model, kEquivalenceBatch, 3));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(e.what()).find("fp16"), std::string::npos);
  }
}

}  // namespace
}  // namespace meshplan
