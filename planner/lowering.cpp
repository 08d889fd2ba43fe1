// SPDX-License-Identifier: Apache-2.0
#include "planner/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

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
  std::optional<uint32_t> check;
};

constexpr int64_t kAlignment = 256;  // of cudaMalloc

int64_t aligned(int64_t bytes) {
  return ceilDiv(bytes, kAlignment) * kAlignment;
}

/// Returns where the buffer begins in the arena. The reserve stands outside it.
int64_t addResident(RankClass& rankClass, const std::string& name, Bytes bytes,
                    MemoryCategory category) {
  if (bytes.value == 0) return 0;
  const int64_t offset = rankClass.arenaBytes.value;
  rankClass.residents.push_back({name, {}, bytes, category, Buffer::Scope::step, offset});
  return offset;
}

/// Lays out one kind of state of a chunk's parameters as one resident buffer.
class ResidentGroup {
 public:
  /// Where `elements` go, in bytes from the start of the buffer.
  int64_t add(int64_t elements, DType type) {
    const int64_t at = bytes_;
    bytes_ += aligned(elements * dtypeBytes(type));
    return at;
  }
  /// Appends the buffer to the arena and returns its offset.
  int64_t place(RankClass& rankClass, const std::string& name, MemoryCategory category) const {
    const int64_t offset = addResident(rankClass, name, Bytes(bytes_), category);
    rankClass.arenaBytes += Bytes(bytes_);
    return offset;
  }

 private:
  int64_t bytes_ = 0;
};

ParameterPlace placeOf(const Plan& plan, const LocalParameter& p) {
  ParameterPlace place;
  place.tensor = p.tensor;
  place.type = p.type;
  place.tensorDim = p.tensorDim;
  place.expertDim = p.expertDim;
  place.replicas = p.replicas;
  place.gradientType = p.gradientType;
  place.shareElements = p.shareElements;
  place.shares = p.shares;
  place.weightsShared = plan.zeroStage >= 3 && p.shares > 1;
  place.gradientShared = plan.zeroStage >= 2 && p.shares > 1;
  return place;
}

/// Weights, gradients and optimizer state of one chunk, by ZeRO stage: resting placements over the
/// data axes (parameter, gradient, state) are 0: (R, R, R), 1: (R, R, S), 2: (R, S, S), 3: (S, S,
/// S).
void addParameters(RankClass& rankClass, const Plan& plan, int64_t chunk,
                   const std::vector<LocalParameter>& parameters) {
  ResidentGroup weights, gradients, master, states;
  const DType stateType = stateDType(plan.training.precision);
  const int stateTensors = optimizerStates(plan.training.optimizer);
  const size_t first = rankClass.parameters.size();
  for (const LocalParameter& p : parameters) {
    if (!p.owned) continue;
    ParameterPlace place = placeOf(plan, p);
    const int64_t share = place.shareElements, whole = place.paddedElements();
    place.weights = weights.add(place.weightsShared ? share : whole, p.type.dtype);
    place.gradient = gradients.add(place.gradientShared ? share : whole, p.gradientType);
    if (isMixed(plan.training.precision)) place.master = master.add(share, stateType);
    for (int s = 0; s < stateTensors; ++s) place.states[s] = states.add(share, stateType);
    rankClass.parameters.push_back(std::move(place));
  }
  const std::string of = plan.virtualStages > 1 ? fmt::format(" of chunk {}", chunk) : "";
  const int64_t w = weights.place(rankClass, "weights" + of, MemoryCategory::weights);
  const int64_t g = gradients.place(rankClass, "gradients" + of, MemoryCategory::gradients);
  const int64_t m = master.place(rankClass, "master weights" + of, MemoryCategory::masterWeights);
  const int64_t s = states.place(rankClass, "optimizer state" + of, MemoryCategory::optimizer);
  for (size_t i = first; i < rankClass.parameters.size(); ++i) {
    ParameterPlace& place = rankClass.parameters[i];
    place.weights += w;
    place.gradient += g;
    if (place.master >= 0) place.master += m;
    for (int64_t& state : place.states)
      if (state >= 0) state += s;
  }
}

void addReserve(RankClass& rankClass, const MemoryReserve& reserve) {
  addResident(rankClass, "framework", reserve.framework, MemoryCategory::reserve);
  addResident(rankClass, "communicators", reserve.communication, MemoryCategory::communication);
  addResident(rankClass, "matrix workspace", reserve.workspace, MemoryCategory::workspace);
}

/// `overflow`: the routine that stands between checks and updates.
std::vector<Call> callsOf(const Plan& plan, const Program& program, int64_t stage,
                          const std::vector<ChunkIndex>& chunks, std::optional<uint32_t> overflow) {
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
  const auto add = [&](std::optional<uint32_t> routine) {
    if (routine && !program.routines[*routine].instructions.empty()) calls.push_back({*routine, 0});
  };
  const auto ofChunk = [&](int64_t v) {
    return chunks[static_cast<size_t>(v * plan.mesh.pipeline + stage)];
  };
  for (int64_t v = 0; v < plan.virtualStages; ++v) add(ofChunk(v).check);
  add(overflow);
  for (int64_t v = 0; v < plan.virtualStages; ++v) add(ofChunk(v).update);
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
  int64_t size = 0;
  for (Buffer& b : routine.buffers) {
    if (b.scope != Buffer::Scope::microBatch) continue;
    b.offset = size;
    size += aligned(b.bytes.value);
  }
  return size;
}

bool isReserve(MemoryCategory c) {
  return c == MemoryCategory::reserve || c == MemoryCategory::communication ||
         c == MemoryCategory::workspace;
}

/// Gives every micro-batch in flight a slot of its chunk, the lowest free one.
void assignSlots(const Program& program, RankClass& rankClass, const std::vector<int64_t>& sizes) {
  struct Use {
    std::vector<bool> taken;
    std::map<int32_t, int32_t> byMicroBatch;
  };
  std::map<int32_t, Use> chunks;
  std::map<int32_t, SlotPool> pools;
  for (Call& call : rankClass.calls) {
    const Routine& routine = program.routines[call.routine];
    Use& use = chunks[routine.chunk];
    if (routine.kind == Routine::Kind::forward) {
      const auto free = std::find(use.taken.begin(), use.taken.end(), false);
      call.slot = static_cast<int32_t>(free - use.taken.begin());
      if (free == use.taken.end()) use.taken.push_back(false);
      use.taken[static_cast<size_t>(call.slot)] = true;
      use.byMicroBatch[call.microBatch] = call.slot;
      SlotPool& pool = pools[routine.chunk];
      pool.chunk = routine.chunk;
      pool.slotBytes = Bytes(sizes[call.routine]);
      pool.slots = static_cast<int32_t>(use.taken.size());
    } else if (routine.kind == Routine::Kind::backward) {
      call.slot = use.byMicroBatch.at(call.microBatch);
      use.taken[static_cast<size_t>(call.slot)] = false;
    }
  }
  rankClass.slots.clear();
  for (const auto& [chunk, pool] : pools) rankClass.slots.push_back(pool);
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

Program lower(const TrainingModel& model, const Plan& plan, const MemoryReserve& reserve,
              LoweredFor purpose) {
  checkPlan(model, plan);
  Program program;
  program.mesh = plan.mesh;
  program.microBatches = plan.microBatches();
  program.precision = plan.training.precision;
  program.overlapTensor = plan.overlapTensor;
  LayerCache layers(model, plan.strategies,
                    {plan.mesh.tensor, plan.mesh.expert, plan.microBatch * plan.mesh.expert},
                    purpose == LoweredFor::execution);
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
    if (r.updates.check) index.check = add(std::move(*r.updates.check));
    index.update = add(std::move(r.updates.update));
    chunks.push_back(index);
  }
  for (RankClass& rankClass : program.rankClasses) {
    std::optional<uint32_t> overflow;
    if (auto routine = lowerOverflow(plan, layers, rankClass.stage))
      overflow = add(std::move(*routine));
    rankClass.calls = callsOf(plan, program, rankClass.stage, chunks, overflow);
  }
  program.work = layers.takeWork();
  if (purpose == LoweredFor::execution) planOffsets(program);
  return program;
}

void planOffsets(Program& program) {
  std::vector<int64_t> slots, scratch;
  for (Routine& routine : program.routines) {
    slots.push_back(packSlot(routine));
    scratch.push_back(packScratch(routine));
  }
  for (RankClass& rankClass : program.rankClasses) {
    assignSlots(program, rankClass, slots);
    int64_t end = 0;
    for (const Buffer& b : rankClass.residents)
      if (!isReserve(b.category)) end = std::max(end, b.offset + b.bytes.value);
    for (SlotPool& pool : rankClass.slots) {
      pool.offset = end;
      end += pool.slots * pool.slotBytes.value;
    }
    rankClass.scratchOffset = end;
    rankClass.scratchBytes = {};
    for (const Call& call : rankClass.calls)
      rankClass.scratchBytes = std::max(rankClass.scratchBytes, Bytes(scratch[call.routine]));
    rankClass.arenaBytes = Bytes(end) + rankClass.scratchBytes;
  }
}

}  // namespace meshplan
