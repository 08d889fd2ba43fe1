// SPDX-License-Identifier: Apache-2.0
#include "planner/update_lowering.h"

#include <gtest/gtest.h>

#include "planner/lowering.h"
#include "planner/search/search.h"
#include "planner/simulator.h"
#include "profiles/load_cluster.h"
#include "tests/flat_cost.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

struct Lowered {
  TrainingModel model;
  Cluster cluster = loadCluster("8xA100-SXM-80GB");
  Program program;

  Lowered(Precision precision, const std::string& strategy) {
    TrainingOptions options;
    options.precision = precision;
    model = prepareTraining(modelFromText(kGpt, 2), options);
    const PlanContext context(model, cluster, cost(), Bytes(int64_t{1} << 40));
    const Plan plan = evaluateStrategy(context, 16, parseStrategy(strategy)).plan;
    program = lower(model, plan, {}, LoweredFor::execution);
    validate(program);
  }
  static const CostModel& cost() {
    static const FlatCost flat(5e11);
    return flat;
  }
  Seconds step() const {
    return simulate(program, costProgram(program, cluster, cost()), {}).stepTime;
  }
};

std::vector<uint32_t> parametersOf(const Binding& binding) {
  std::vector<uint32_t> tensors;
  for (const Operand& o : binding.inputs) tensors.push_back(o.index);
  return tensors;
}

/// What a stage does from its first check on, in order.
struct Ending {
  std::vector<uint32_t> checked, updated;
  int agreements = 0;
  bool inOrder = true;

  Ending(const Program& program, const RankClass& stage) {
    for (const Call& call : stage.calls) {
      const Routine& routine = program.routines[call.routine];
      if (routine.kind != Routine::Kind::update) continue;
      for (size_t i = 0; i < routine.instructions.size(); ++i)
        visit(routine.instructions[i], routine.bindings[i]);
    }
  }

  void visit(const Instruction& in, const Binding& binding) {
    const auto add = [&](std::vector<uint32_t>& to) {
      for (uint32_t t : parametersOf(binding)) to.push_back(t);
    };
    const bool overflow = binding.part == Binding::Part::overflow;
    if (in.kind == Instruction::Kind::compute && !overflow) return add(updated);
    if (in.kind == Instruction::Kind::compute) {
      inOrder = inOrder && agreements == 0 && updated.empty();
      return add(checked);
    }
    // Gradients are summed before they are looked at; weights are gathered after the update.
    if (in.collective == CollectiveKind::allReduce && !overflow)
      inOrder = inOrder && agreements == 0 && updated.empty();
    if (!overflow) return;
    EXPECT_EQ(in.axes, kWorldAxes);
    ++agreements;
    inOrder = inOrder && updated.empty();
  }
};

constexpr const char* kStrategies[] = {"dp=8", "dp=2,tp=4,zero=1,sp=on", "dp=4,pp=2,zero=2,mbs=1",
                                       "dp=2,pp=2,tp=2,mbs=1",
                                       "dp=4,pp=2,vpp=2,schedule=interleaved,mbs=1"};

TEST(UpdateLowering, InFp16AllRanksAgreeThatAllGradientsAreFiniteBeforeAnyUpdate) {
  for (const char* strategy : kStrategies) {
    SCOPED_TRACE(strategy);
    const Lowered lowered(Precision::fp16, strategy);
    for (const RankClass& stage : lowered.program.rankClasses) {
      const Ending ending(lowered.program, stage);
      EXPECT_TRUE(ending.inOrder);
      EXPECT_EQ(ending.agreements, 1);
      EXPECT_EQ(ending.checked, ending.updated);
      EXPECT_EQ(ending.updated.size(), stage.parameters.size());
    }
  }
}

TEST(UpdateLowering, OtherPrecisionsDoNotPayForIt) {
  for (const char* strategy : kStrategies) {
    const Lowered fp16(Precision::fp16, strategy), bf16(Precision::bf16, strategy);
    for (const RankClass& stage : bf16.program.rankClasses) {
      const Ending ending(bf16.program, stage);
      EXPECT_TRUE(ending.checked.empty());
      EXPECT_EQ(ending.agreements, 0);
    }
    EXPECT_LT(bf16.step(), fp16.step()) << strategy;
    for (size_t s = 0; s < bf16.program.rankClasses.size(); ++s)
      EXPECT_EQ(bf16.program.rankClasses[s].arenaBytes, fp16.program.rankClasses[s].arenaBytes);
  }
}

}  // namespace
}  // namespace meshplan
