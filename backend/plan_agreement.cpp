// SPDX-License-Identifier: Apache-2.0
#include "backend/plan_agreement.h"

#include <fmt/core.h>

#include <vector>

#include "core/error.h"

namespace meshplan {
namespace {

class Hash {
 public:
  void add(int64_t value) {
    for (int i = 0; i < 8; ++i) addByte(static_cast<uint8_t>(value >> (8 * i)));
  }
  void add(std::string_view text) {
    for (char c : text) addByte(static_cast<uint8_t>(c));
    addByte(0);
  }
  void add(const std::vector<BufferIndex>& list) {
    add(static_cast<int64_t>(list.size()));
    for (BufferIndex b : list) add(int64_t{b});
  }
  void add(const std::vector<Operand>& operands) {
    for (const Operand& o : operands) {
      add(static_cast<int64_t>(o.place));
      add(int64_t{o.index});
      add(o.offset);
      add(static_cast<int64_t>(o.type.dtype));
      for (int64_t extent : o.type.shape) add(extent);
    }
  }
  uint64_t value() const { return value_; }

 private:
  void addByte(uint8_t b) { value_ = (value_ ^ b) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

void addInstruction(Hash& hash, const Graph& graph, const Instruction& in) {
  hash.add(static_cast<int64_t>(in.kind));
  if (in.kind == Instruction::Kind::compute && in.op.valid()) {
    hash.add(graph.op(in.op).def->name);
    hash.add(graph.op(in.op).name);
  }
  hash.add(static_cast<int64_t>(in.collective));
  hash.add(in.axes.bits);
  hash.add(in.bytes.value);
  hash.add(in.boundary);
  hash.add(in.peerStage);
  hash.add(in.participants);
  hash.add(in.reads);
  hash.add(in.writes);
}

void addRankClass(Hash& hash, const RankClass& rankClass) {
  hash.add(rankClass.arenaBytes.value);
  for (const Call& call : rankClass.calls) {
    hash.add(call.routine);
    hash.add(call.microBatch);
    hash.add(call.slot);
  }
  for (const ParameterPlace& p : rankClass.parameters) {
    hash.add(static_cast<int64_t>(p.tensor.index()));
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
  for (const Routine& routine : program.routines) {
    for (const Instruction& in : routine.instructions) addInstruction(hash, graph, in);
    for (const Binding& b : routine.bindings) {
      hash.add(b.inputs);
      hash.add(b.outputs);
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
