// SPDX-License-Identifier: Apache-2.0
#include "core/plan.h"

#include <gtest/gtest.h>

namespace meshplan {
namespace {

TEST(Plan, StrategyTextNamesEveryDecision) {
  Plan plan;
  plan.mesh = {.tensor = 2, .expert = 2, .data = 4, .pipeline = 3};
  plan.microBatch = 5;
  plan.schedule = ScheduleKind::interleaved;
  plan.virtualStages = 2;
  plan.recompute = Recompute::selective;
  plan.zeroStage = 1;
  EXPECT_EQ(strategyText(plan, true),
            "dp=8,tp=2,pp=3,ep=2,vpp=2,mbs=5,zero=1,sp=on,schedule=interleaved,"
            "recompute=selective");
  EXPECT_EQ(strategyText(Plan{}, false),
            "dp=1,tp=1,pp=1,ep=1,vpp=1,mbs=1,zero=0,sp=off,schedule=1f1b,recompute=none");
}

}  // namespace
}  // namespace meshplan
