// SPDX-License-Identifier: Apache-2.0
#include "backend/plan_agreement.h"

#include <fmt/core.h>

#include <vector>

#include "core/error.h"
#include "core/hash.h"

namespace meshplan {
namespace {

void addAll(Hash& hash, const std::vector<BufferIndex>& list) {
  hash.add(list.size());
  for (BufferIndex b : list) hash.add(b);
}

void addAll(Hash& hash, const std::vector<Operand>& operands) {
  for (const Operand& o : operands) {
    hash.add(o.place);
    hash.add(o.index);
    hash.add(o.offset);
    hash.add(o.type);
  }
}

void addInstruction(Hash& hash, const Graph& graph, const Instruction& in) {
  hash.add(in.kind);
  if (in.kind == Instruction::Kind::compute && in.op.valid()) {
    hash.add(graph.op(in.op).def->name);
    hash.add(std::string_view(graph.op(in.op).name));
  }
  hash.add(in.collective);
  hash.add(in.axes.bits);
  hash.add(in.bytes.value);
  hash.add(in.boundary);
  hash.add(in.peerStage);
  hash.add(in.participants);
  addAll(hash, in.reads);
  addAll(hash, in.writes);
}

void addRankClass(Hash& hash, const RankClass& rankClass) {
  hash.add(rankClass.arenaBytes.value);
  for (const Call& call : rankClass.calls) {
    hash.add(call.routine);
    hash.add(call.microBatch);
    hash.add(call.slot);
  }
  for (const ParameterPlace& p : rankClass.parameters) {
    hash.add(p.tensor.index());
    hash.add(p.weights);
    hash.add(p.gradient);
  }
}

}  // namespace

uint64_t programHash(const Graph& graph, const Program& program) {
  Hash hash;
  for (MeshAxis a : {MeshAxis::tensor, MeshAxis::expert, MeshAxis::data, MeshAxis::pipeline})
    hash.add(program.mesh.size(a));
  hash.add(program.microBatches);
  hash.add(program.precision);
  for (const Routine& routine : program.routines) {
    for (const Instruction& in : routine.instructions) addInstruction(hash, graph, in);
    for (const Binding& b : routine.bindings) {
      addAll(hash, b.inputs);
      addAll(hash, b.outputs);
    }
    for (const Buffer& b : routine.buffers) hash.add(b.offset);
  }
  for (const RankClass& rankClass : program.rankClasses) addRankClass(hash, rankClass);
  return hash.value();
}

void checkAgreement(Communicator& world, uint64_t own) {
  std::vector<uint64_t> all(static_cast<size_t>(world.size()));
  world.allGather(&own, all.data(), sizeof own);
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      throw Error(ErrorKind::usage,
                  fmt::format("rank {} runs another plan (hash {:016x}) than rank 0 ({:016x})", r,
                              all[r], all[0]),
                  "start all ranks with the same model, plan and version of meshplan");
}

}  // namespace meshplan
