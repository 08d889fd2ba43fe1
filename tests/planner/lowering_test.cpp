// SPDX-License-Identifier: Apache-2.0
#include "planner/lowering.h"

#include <gmock/gmock.h>

#include <set>

#include "core/error.h"
#include "planner/arena.h"
#include "planner/search/shardings.h"
#include "planner/simulator.h"
#include "tests/flat_cost.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

/// A plan of the four-layer GPT with the shardings that search would choose.
// Memory so slow that splitting the norms over the tensor axis pays.
const FlatCost kCost(5e11);

struct Planned {
  TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  Plan plan;

  explicit Planned(MeshShape mesh, bool sequenceParallel = true) {
    plan.mesh = mesh;
    plan.microBatch = 1;
    plan.globalBatch = 4 * mesh.replicas();
    ShardingProblem::Question q;
    q.mesh = {mesh.tensor, mesh.expert, plan.microBatch * mesh.expert};
    q.tensorGroup.ranks = mesh.tensor;
    q.expertGroup.ranks = mesh.expert;
    q.sequenceParallel = sequenceParallel;
    const ShardingProblem problem(model);
    plan.strategies = problem.expand(problem.solve(q, kCost).at(0));
    stages(mesh.pipeline);
  }

  void stages(int64_t chunks) {
    const auto blocks = static_cast<int64_t>(model.chain.blocks.size());
    plan.chunkStarts.clear();
    for (int64_t c = 0; c <= chunks; ++c) plan.chunkStarts.push_back(c * blocks / chunks);
  }

  Program lowered() const { return lower(model, plan, {}); }
};

struct Count {
  int number = 0;
  double bytes = 0;
};

/// Collectives of one kind on one axis in a routine kind, over all routines.
Count collectives(const Program& p, Routine::Kind kind, CollectiveKind c, MeshAxes axes) {
  Count count;
  for (const Routine& r : p.routines)
    for (const Instruction& i : r.instructions)
      if (r.kind == kind && i.kind == Instruction::Kind::collective && i.collective == c &&
          i.axes == axes) {
        ++count.number;
        count.bytes += static_cast<double>(i.bytes.value);
      }
  return count;
}

double residentBytes(const Program& p, MemoryCategory category) {
  double bytes = 0;
  for (const RankClass& c : p.rankClasses)
    for (const Buffer& b : c.residents)
      if (b.category == category) bytes += static_cast<double>(b.bytes.value);
  return bytes;
}

TEST(Lowering, ATensorParallelLayerAllReducesTwiceForwardAndTwiceBackward) {
  Planned p({4, 1, 1, 1}, false);
  const Program program = p.lowered();
  const double activation = 1024.0 * 2048 * 2;
  const Count forward =
      collectives(program, Routine::Kind::forward, CollectiveKind::allReduce, MeshAxis::tensor);
  const Count backward =
      collectives(program, Routine::Kind::backward, CollectiveKind::allReduce, MeshAxis::tensor);
  // Four layers of two, and the embedding's; the loss' row statistics are gathered.
  EXPECT_EQ(forward.number, 4 * 2 + 1);
  EXPECT_NEAR(forward.bytes, 9 * activation, 0.02 * activation);
  // Four layers of two, and the head's input gradient.
  EXPECT_EQ(backward.number, 4 * 2 + 1);
  EXPECT_EQ(backward.bytes, 9 * activation);
}

TEST(Lowering, SequenceParallelismMovesTheSameBytesAsGathersAndScatters) {
  const Program with = Planned({4, 1, 1, 1}, true).lowered(),
                without = Planned({4, 1, 1, 1}, false).lowered();
  const auto wire = [&](const Program& p, Routine::Kind kind) {
    double bytes = 0;
    for (CollectiveKind c :
         {CollectiveKind::allReduce, CollectiveKind::allGather, CollectiveKind::reduceScatter})
      bytes += wireBytes(c, collectives(p, kind, c, MeshAxis::tensor).bytes, 4);
    return bytes;
  };
  EXPECT_NEAR(wire(with, Routine::Kind::forward), wire(without, Routine::Kind::forward),
              0.01 * wire(without, Routine::Kind::forward));
  // Backward gathers the kept shards again: one all-gather more per gathered operand, beside the
  // input gradient.
  EXPECT_GT(wire(with, Routine::Kind::backward), wire(without, Routine::Kind::backward));
  EXPECT_LT(wire(with, Routine::Kind::backward), 1.8 * wire(without, Routine::Kind::backward));
}

TEST(Lowering, GradientsAreReducedOnceOverExactlyTheirReplicas) {
  for (int zero : {0, 1}) {
    Planned p({2, 1, 4, 1});
    p.plan.zeroStage = zero;
    const Program program = p.lowered();
    const auto kind = zero == 0 ? CollectiveKind::allReduce : CollectiveKind::reduceScatter;
    const MeshAxes replicas = MeshAxis::data;
    const Count reduced = collectives(program, Routine::Kind::backward, kind, replicas);
    EXPECT_EQ(reduced.bytes, residentBytes(program, MemoryCategory::gradients)) << zero;
    EXPECT_GT(reduced.number, 1) << "buckets";
    for (const Routine& r : program.routines)
      for (const Instruction& i : r.instructions)
        EXPECT_TRUE(r.lastMicroBatch || !(i.axes == replicas && i.collective == kind));
  }
}

TEST(Lowering, ZeroDividesWhatItSaysAndNothingTwice) {
  Planned p({2, 1, 4, 1});
  const auto bytes = [&](int zero, MemoryCategory category) {
    p.plan.zeroStage = zero;
    return residentBytes(p.lowered(), category);
  };
  const double weights = bytes(0, MemoryCategory::weights),
               gradients = bytes(0, MemoryCategory::gradients),
               states = bytes(0, MemoryCategory::optimizer),
               master = bytes(0, MemoryCategory::masterWeights);
  EXPECT_EQ(gradients, 2 * weights);
  EXPECT_EQ(states, 4 * weights);
  EXPECT_EQ(master, 2 * weights);
  for (int zero : {0, 1, 2, 3}) {
    EXPECT_NEAR(bytes(zero, MemoryCategory::optimizer), zero >= 1 ? states / 4 : states, 4096);
    EXPECT_NEAR(bytes(zero, MemoryCategory::gradients), zero >= 2 ? gradients / 4 : gradients,
                4096);
    EXPECT_NEAR(bytes(zero, MemoryCategory::weights), zero >= 3 ? weights / 4 : weights, 4096);
  }
}

TEST(Lowering, Zero3GathersEveryBlockForwardAndBackward) {
  Planned p({1, 1, 4, 1});
  p.plan.zeroStage = 3;
  const Program program = p.lowered();
  const MeshAxes replicas = MeshAxis::data;
  const double weights = 4 * residentBytes(program, MemoryCategory::weights);
  for (Routine::Kind kind : {Routine::Kind::forward, Routine::Kind::backward}) {
    const Count gathered = collectives(program, kind, CollectiveKind::allGather, replicas);
    // The tied table is gathered for the embedding and for the head.
    EXPECT_NEAR(gathered.bytes, weights + 32000.0 * 2048 * 2, 1e5);
  }
}

TEST(Lowering, EveryScheduleAndMeshGivesAValidProgram) {
  for (MeshShape mesh : {MeshShape{1, 1, 1, 1}, MeshShape{2, 1, 2, 1}, MeshShape{1, 1, 1, 2},
                         MeshShape{2, 1, 2, 2}, MeshShape{1, 1, 2, 4}})
    for (Recompute r : {Recompute::none, Recompute::selective, Recompute::full})
      for (int zero : {0, 1, 2, 3})
        for (ScheduleKind k : {ScheduleKind::gpipe, ScheduleKind::oneFOneB}) {
          Planned p(mesh);
          p.plan.recompute = r;
          p.plan.zeroStage = zero;
          p.plan.schedule = k;
          EXPECT_NO_THROW(validate(p.lowered()))
              << mesh.tensor << mesh.data << mesh.pipeline << zero;
        }
}

TEST(Lowering, InterleavedChunksAlternateOverTheStages) {
  Planned p({1, 1, 1, 2});
  p.plan.schedule = ScheduleKind::interleaved;
  p.plan.virtualStages = 2;
  p.stages(4);
  const Program program = p.lowered();
  validate(program);
  for (const RankClass& c : program.rankClasses) {
    std::set<int> chunks;
    for (const Call& call : c.calls) chunks.insert(program.routines[call.routine].chunk);
    EXPECT_EQ(chunks, (std::set<int>{c.stage, c.stage + 2}));
  }
}

/// Bytes of micro-batch scope that one forward call leaves behind.
double savedBytes(const Program& p) {
  double bytes = 0;
  for (const Routine& r : p.routines)
    if (r.kind == Routine::Kind::forward)
      for (const Buffer& b : r.buffers)
        if (b.scope == Buffer::Scope::microBatch) bytes += static_cast<double>(b.bytes.value);
  return bytes;
}

TEST(Lowering, FullRecomputationKeepsOnlyLayerInputs) {
  Planned p({1, 1, 1, 1});
  const double none = savedBytes(p.lowered());
  p.plan.recompute = Recompute::full;
  const Program program = p.lowered();
  const double full = savedBytes(program);
  EXPECT_LT(full, 0.5 * none);
  int recomputed = 0, forward = 0;
  for (const Routine& r : program.routines)
    for (const Instruction& i : r.instructions) {
      recomputed += i.recomputed;
      forward += r.kind == Routine::Kind::forward && i.kind == Instruction::Kind::compute &&
                 p.model.graph.op(i.op).module.rfind("layers", 0) == 0;
    }
  EXPECT_EQ(recomputed, forward);
}

TEST(Lowering, TheClosedFormOfTheSavedBytesAgreesWithTheProgram) {
  for (int64_t tensor : {1, 2, 4}) {
    Planned p({tensor, 1, 1, 1});
    ShardingProblem::Question q;
    q.mesh = {tensor, 1, 1};
    q.tensorGroup.ranks = tensor;
    const ShardingPoint point = ShardingProblem(p.model).solve(q, kCost).at(0);
    const double program = savedBytes(p.lowered());
    EXPECT_NEAR(point.total.activations, program, 0.03 * program) << tensor;
  }
}

TEST(Lowering, ATiedTableIsReducedBetweenItsStages) {
  Planned p({1, 1, 1, 2});
  const Program program = p.lowered();
  int tied = 0;
  for (const Routine& r : program.routines)
    for (const Instruction& i : r.instructions)
      if (i.kind == Instruction::Kind::collective && i.axes.has(MeshAxis::pipeline)) {
        ++tied;
        EXPECT_EQ(i.participants, 2);
        EXPECT_EQ(i.bytes.value, 32000 * 2048 * 4);
      }
  EXPECT_EQ(tied, 2);
  // Both stages hold the table.
  EXPECT_EQ(residentBytes(program, MemoryCategory::weights),
            2.0 * static_cast<double>(p.model.graph.parameterCount() + 32000 * 2048));
}

TEST(Lowering, AParameterOfTwoChunksOfOneStageIsHeldReducedAndUpdatedOnce) {
  Planned p({1, 1, 2, 2});
  p.plan.schedule = ScheduleKind::interleaved;
  p.plan.virtualStages = 3;
  p.stages(6);
  // Six chunks put the embedding and the head on different stages, two chunks of one stage share
  // it.
  const auto blocks = static_cast<int64_t>(p.model.chain.blocks.size());
  const Program apart = p.lowered();
  EXPECT_GT(residentBytes(apart, MemoryCategory::weights),
            2.0 * static_cast<double>(p.model.graph.parameterCount()));
  p.plan.mesh.pipeline = 1;
  p.plan.mesh.data = 4;
  p.plan.globalBatch = 16;
  p.plan.virtualStages = 2;
  p.plan.chunkStarts = {0, blocks / 2, blocks};
  const Program together = p.lowered();
  EXPECT_EQ(residentBytes(together, MemoryCategory::weights),
            2.0 * static_cast<double>(p.model.graph.parameterCount()));
  EXPECT_EQ(
      collectives(together, Routine::Kind::backward, CollectiveKind::allReduce, MeshAxis::data)
          .bytes,
      4.0 * static_cast<double>(p.model.graph.parameterCount()));
}

TEST(Lowering, RefusesPlansThatContradictThemselves) {
  Planned p({1, 1, 2, 1});
  const auto problem = [&](auto edit) -> std::string {
    Plan plan = p.plan;
    edit(plan);
    try {
      lower(p.model, plan, {});
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::usage);
      EXPECT_FALSE(e.remedy().empty());
      return e.problem();
    }
    return "";
  };
  EXPECT_THAT(problem([](Plan& x) { x.globalBatch = 7; }), testing::HasSubstr("does not divide"));
  EXPECT_THAT(problem([](Plan& x) { x.virtualStages = 2; }), testing::HasSubstr("interleaved"));
  EXPECT_THAT(problem([](Plan& x) { x.zeroStage = 4; }), testing::HasSubstr("ZeRO"));
  EXPECT_THAT(problem([](Plan& x) { x.chunkStarts.back() = 1; }), testing::HasSubstr("cover"));
  EXPECT_THAT(problem([](Plan& x) { x.strategies.pop_back(); }),
              testing::HasSubstr("another model"));
  EXPECT_THAT(problem([](Plan& x) { x.mesh.data = 0; }), testing::HasSubstr("below 1"));
}

TEST(Lowering, OffsetsNeverOverlapWhileAlive) {
  Planned p({2, 1, 1, 2});
  Program program = p.lowered();
  planOffsets(program);
  for (const Routine& r : program.routines) {
    std::set<BufferIndex> live;
    for (const Instruction& i : r.instructions) {
      for (BufferIndex b : i.allocates) {
        const Buffer& x = r.buffers[b];
        for (BufferIndex other : live) {
          const Buffer& y = r.buffers[other];
          if (x.scope != y.scope || x.bytes.value == 0 || y.bytes.value == 0) continue;
          EXPECT_TRUE(x.offset + x.bytes.value <= y.offset || y.offset + y.bytes.value <= x.offset)
              << x.name << " and " << y.name;
        }
        live.insert(b);
      }
      for (BufferIndex b : i.frees) live.erase(b);
    }
  }
  for (const RankClass& c : program.rankClasses) {
    EXPECT_GT(c.slots.front().slotBytes.value, 0);
    EXPECT_GT(c.scratchBytes.value, 0);
  }
}

TEST(Arena, IsAtLeastTheLiveBytesAndPacksDisjointLivesTogether) {
  std::vector<Lifetime> lives{{1000, 0, 1, 0}, {1000, 2, 3, 0}, {500, 1, 2, 0}};
  const int64_t size = planArena(lives);
  EXPECT_GE(size, 1500);
  EXPECT_LE(size, 1024 + 512);
  EXPECT_EQ(lives[0].offset, lives[1].offset);
}

}  // namespace
}  // namespace meshplan
