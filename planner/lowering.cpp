// SPDX-License-Identifier: Apache-2.0
#include "planner/lowering.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "planner/arena.h"
#include "planner/chunk_lowering.h"
#include "planner/pipeline_schedule.h"
#include "planner/update_lowering.h"

namespace meshplan {
namespace {

Error contradiction(std::string problem, std::string remedy) {
  return Error(ErrorKind::usage, std::move(problem), std::move(remedy));
}

/// Where the routines of a chunk went in Program::routines.
struct ChunkIndex {
  uint32_t forward, backward, backwardLast, update;
};

void addResident(RankClass& rankClass, const std::string& name, Bytes bytes,
                 MemoryCategory category) {
  if (bytes.value == 0) return;
  rankClass.residents.push_back({name, {}, bytes, category, Buffer::Scope::step, 0});
}

Bytes share(Bytes whole, int64_t ranks) {
  return Bytes(ceilDiv(whole.value, ranks));
}

/// Weights, gradients and optimizer state of one chunk, by ZeRO stage: resting placements over the
/// data axes (parameter, gradient, state) are 0: (R, R, R), 1: (R, R, S), 2: (R, S, S), 3: (S, S,
/// S).
void addParameters(RankClass& rankClass, const Plan& plan, int64_t chunk,
                   const std::vector<LocalParameter>& parameters) {
  Bytes weights, gradients, master, states;
  const int64_t stateTensors = optimizerStates(plan.training.optimizer);
  for (const LocalParameter& p : parameters) {
    if (!p.owned) continue;
    const int64_t ranks = plan.mesh.size(p.replicas);
    weights += share(p.type.bytes(), plan.zeroStage >= 3 ? ranks : 1);
    gradients += share(p.gradientBytes(), plan.zeroStage >= 2 ? ranks : 1);
    const Bytes fp32(4 * p.type.elements());
    const int64_t shards = optimizerShards(plan, p);
    if (isMixed(plan.training.precision)) master += share(fp32, shards);
    states += share(fp32 * stateTensors, shards);
  }
  const std::string of = plan.virtualStages > 1 ? fmt::format(" of chunk {}", chunk) : "";
  addResident(rankClass, "weights" + of, weights, MemoryCategory::weights);
  addResident(rankClass, "gradients" + of, gradients, MemoryCategory::gradients);
  addResident(rankClass, "master weights" + of, master, MemoryCategory::masterWeights);
  addResident(rankClass, "optimizer state" + of, states, MemoryCategory::optimizer);
}

void addReserve(RankClass& rankClass, const MemoryReserve& reserve) {
  addResident(rankClass, "framework", reserve.framework, MemoryCategory::reserve);
  addResident(rankClass, "communicators", reserve.communication, MemoryCategory::communication);
  addResident(rankClass, "matrix workspace", reserve.workspace, MemoryCategory::workspace);
}

std::vector<Call> callsOf(const Plan& plan, const Program& program, int64_t stage,
                          const std::vector<ChunkIndex>& chunks) {
  const auto order = pipelineOrder(plan.schedule, stage, plan.mesh.pipeline, plan.microBatches(),
                                   plan.virtualStages);
  std::vector<int64_t> backwardsLeft(static_cast<size_t>(plan.virtualStages), plan.microBatches());
  std::vector<Call> calls;
  calls.reserve(order.size() + static_cast<size_t>(plan.virtualStages));
  for (const ScheduleStep& step : order) {
    const auto chunk = static_cast<size_t>(step.chunk * plan.mesh.pipeline + stage);
    uint32_t routine = chunks[chunk].forward;
    if (step.backward)
      routine = --backwardsLeft[static_cast<size_t>(step.chunk)] == 0 ? chunks[chunk].backwardLast
                                                                      : chunks[chunk].backward;
    calls.push_back({routine, step.microBatch});
  }
  for (int64_t v = 0; v < plan.virtualStages; ++v) {
    const uint32_t update = chunks[static_cast<size_t>(v * plan.mesh.pipeline + stage)].update;
    if (!program.routines[update].instructions.empty()) calls.push_back({update, 0});
  }
  return calls;
}

std::vector<int32_t> allocationTimes(const Routine& routine) {
  std::vector<int32_t> times(routine.buffers.size(), -1);
  for (size_t i = 0; i < routine.instructions.size(); ++i)
    for (BufferIndex b : routine.instructions[i].allocates) times[b] = static_cast<int32_t>(i);
  return times;
}

int64_t packScratch(Routine& routine) {
  const std::vector<int32_t> begins = allocationTimes(routine);
  std::vector<Lifetime> lifetimes;
  std::vector<BufferIndex> owners;
  for (size_t i = 0; i < routine.instructions.size(); ++i)
    for (BufferIndex b : routine.instructions[i].frees) {
      if (routine.buffers[b].scope != Buffer::Scope::scratch) continue;
      lifetimes.push_back({routine.buffers[b].bytes.value, begins[b], static_cast<int32_t>(i), 0});
      owners.push_back(b);
    }
  const int64_t size = planArena(lifetimes);
  for (size_t i = 0; i < owners.size(); ++i)
    routine.buffers[owners[i]].offset = lifetimes[i].offset;
  return size;
}

int64_t packSlot(Routine& routine) {
  constexpr int64_t kAlignment = 256;
  int64_t size = 0;
  for (Buffer& b : routine.buffers) {
    if (b.scope != Buffer::Scope::microBatch) continue;
    b.offset = size;
    size += ceilDiv(b.bytes.value, kAlignment) * kAlignment;
  }
  return size;
}

}  // namespace

void checkPlan(const TrainingModel& model, const Plan& plan) {
  const MeshShape& m = plan.mesh;
  if (m.tensor < 1 || m.expert < 1 || m.data < 1 || m.pipeline < 1 || plan.virtualStages < 1 ||
      plan.microBatch < 1 || plan.globalBatch < 1)
    throw contradiction("a parallel degree or batch size is below 1", "use positive numbers");
  if (plan.globalBatch % (plan.microBatch * m.replicas()) != 0)
    throw contradiction(
        fmt::format("global batch {} does not divide by micro-batch {} x {} replicas",
                    plan.globalBatch, plan.microBatch, m.replicas()),
        fmt::format("use a global batch that is a multiple of {}", plan.microBatch * m.replicas()));
  if (plan.virtualStages > 1 && plan.schedule != ScheduleKind::interleaved)
    throw contradiction("virtual stages need the interleaved schedule", "use schedule=interleaved");
  if (plan.zeroStage < 0 || plan.zeroStage > 3)
    throw contradiction(fmt::format("there is no ZeRO stage {}", plan.zeroStage),
                        "use 0, 1, 2 or 3");
  const auto blocks = static_cast<int64_t>(model.chain.blocks.size());
  const bool covers = static_cast<int64_t>(plan.chunkStarts.size()) == plan.chunks() + 1 &&
                      plan.chunkStarts.front() == 0 && plan.chunkStarts.back() == blocks;
  if (!covers || std::adjacent_find(plan.chunkStarts.begin(), plan.chunkStarts.end(),
                                    std::greater_equal<>()) != plan.chunkStarts.end())
    throw contradiction(
        fmt::format("{} chunks do not cover the model's {} blocks", plan.chunks(), blocks),
        "use fewer pipeline or virtual stages");
  if (plan.strategies.size() != model.forwardOps)
    throw contradiction("the plan was made for another model", "plan the model again");
}

Program lower(const TrainingModel& model, const Plan& plan, const MemoryReserve& reserve) {
  checkPlan(model, plan);
  Program program;
  program.mesh = plan.mesh;
  program.microBatches = plan.microBatches();
  program.overlapTensor = plan.overlapTensor;
  LayerCache layers(model, plan.strategies,
                    {plan.mesh.tensor, plan.mesh.expert, plan.microBatch * plan.mesh.expert});
  program.rankClasses.resize(static_cast<size_t>(plan.mesh.pipeline));
  for (int64_t stage = 0; stage < plan.mesh.pipeline; ++stage) {
    RankClass& rankClass = program.rankClasses[static_cast<size_t>(stage)];
    rankClass.stage = static_cast<int32_t>(stage);
    rankClass.ranks = plan.mesh.ranks() / plan.mesh.pipeline;
    addReserve(rankClass, reserve);
  }

  std::vector<ChunkIndex> chunks;
  const auto add = [&](Routine routine) {
    program.routines.push_back(std::move(routine));
    return static_cast<uint32_t>(program.routines.size() - 1);
  };
  for (int64_t c = 0; c < plan.chunks(); ++c) {
    ChunkRoutines r = lowerChunk(model, plan, layers, c);
    addParameters(program.rankClasses[static_cast<size_t>(c % plan.mesh.pipeline)], plan, c,
                  r.parameters);
    ChunkIndex index;
    index.forward = add(std::move(r.forward));
    index.backward = add(std::move(r.backward));
    index.backwardLast = r.backwardLast ? add(std::move(*r.backwardLast)) : index.backward;
    index.update = add(std::move(r.update));
    chunks.push_back(index);
  }
  for (RankClass& rankClass : program.rankClasses)
    rankClass.calls = callsOf(plan, program, rankClass.stage, chunks);
  program.work = layers.takeWork();
  return program;
}

void planOffsets(Program& program) {
  std::vector<int64_t> slots, scratch;
  for (Routine& routine : program.routines) {
    slots.push_back(routine.kind == Routine::Kind::forward ? packSlot(routine)
                                                           : (packSlot(routine), 0));
    scratch.push_back(packScratch(routine));
  }
  for (RankClass& rankClass : program.rankClasses) {
    std::vector<bool> counted(program.routines.size());
    for (const Call& call : rankClass.calls) {
      if (counted[call.routine]) continue;
      counted[call.routine] = true;
      rankClass.slotBytes += Bytes(slots[call.routine]);
      rankClass.scratchBytes = std::max(rankClass.scratchBytes, Bytes(scratch[call.routine]));
    }
  }
}

}  // namespace meshplan
