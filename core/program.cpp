// SPDX-License-Identifier: Apache-2.0
#include "core/program.h"

#include <fmt/core.h>

#include <map>
#include <tuple>

#include "core/error.h"

namespace meshplan {

std::string_view routineKindName(Routine::Kind k) {
  switch (k) {
    case Routine::Kind::forward:
      return "forward";
    case Routine::Kind::backward:
      return "backward";
    case Routine::Kind::update:
      return "update";
  }
  return "forward";
}

namespace {

std::string_view instructionKindName(Instruction::Kind k) {
  switch (k) {
    case Instruction::Kind::compute:
      return "compute";
    case Instruction::Kind::collective:
      return "collective";
    case Instruction::Kind::send:
      return "send";
    case Instruction::Kind::receive:
      return "receive";
  }
  return "compute";
}

[[noreturn]] void fail(const Routine& routine, size_t instruction, std::string problem) {
  const Instruction& in = routine.instructions[instruction];
  throw Error(ErrorKind::internal, std::move(problem))
      .at(fmt::format("{} of chunk {}, instruction {} ({} on {})", routineKindName(routine.kind),
                      routine.chunk, instruction, instructionKindName(in.kind),
                      streamName(in.stream)));
}

[[noreturn]] void failProgram(std::string problem) {
  throw Error(ErrorKind::internal, std::move(problem)).at("program");
}

void checkIndices(const Program& program, const Routine& routine) {
  for (size_t i = 0; i < routine.instructions.size(); ++i) {
    const Instruction& in = routine.instructions[i];
    if (in.kind == Instruction::Kind::compute && in.work >= program.work.size())
      fail(routine, i, fmt::format("work {} of {} does not exist", in.work, program.work.size()));
    if (in.bytes.value < 0) fail(routine, i, "negative bytes");
    for (uint32_t w : in.waits)
      if (w >= i) fail(routine, i, fmt::format("waits for instruction {}, which comes later", w));
    for (const std::vector<BufferIndex>* list : {&in.reads, &in.writes, &in.allocates, &in.frees})
      for (BufferIndex b : *list)
        if (b >= routine.buffers.size()) fail(routine, i, fmt::format("no buffer {}", b));
  }
}

struct BufferState {
  bool live = false, written = false;
};

// Walks the buffers of a routine in issue order. `states` holds those that an earlier routine left
// alive.
class BufferWalk {
 public:
  BufferWalk(const Routine& routine, std::vector<BufferState> states)
      : routine_(routine), states_(std::move(states)) {
    states_.resize(routine.buffers.size());
    for (size_t b = 0; b < states_.size(); ++b)
      if (routine.buffers[b].scope == Buffer::Scope::step) states_[b] = {true, true};
  }

  std::vector<BufferState> run() {
    for (size_t i = 0; i < routine_.instructions.size(); ++i) step(i);
    for (size_t b = 0; b < states_.size(); ++b) checkEnd(b);
    return std::move(states_);
  }

 private:
  std::string name(BufferIndex b) const {
    return fmt::format("buffer {} \"{}\"", b, routine_.buffers[b].name);
  }

  void step(size_t i) {
    const Instruction& in = routine_.instructions[i];
    for (BufferIndex b : in.allocates) {
      if (states_[b].live) fail(routine_, i, name(b) + " is allocated twice");
      states_[b] = {true, false};
    }
    for (BufferIndex b : in.reads) {
      requireLive(i, b, "read");
      if (!states_[b].written) fail(routine_, i, name(b) + " is read before it is written");
    }
    for (BufferIndex b : in.writes) {
      requireLive(i, b, "written");
      states_[b].written = true;
    }
    for (BufferIndex b : in.frees) {
      requireLive(i, b, "freed");
      if (routine_.buffers[b].scope == Buffer::Scope::step)
        fail(routine_, i, name(b) + " lives for the step and is freed");
      states_[b] = {};
    }
  }

  void requireLive(size_t i, BufferIndex b, std::string_view use) const {
    if (!states_[b].live)
      fail(
          routine_, i,
          fmt::format("{} is {} while it is not allocated (never, or freed before)", name(b), use));
  }

  void checkEnd(size_t b) const {
    const bool mayStay = routine_.buffers[b].scope == Buffer::Scope::step ||
                         (routine_.buffers[b].scope == Buffer::Scope::microBatch &&
                          routine_.kind == Routine::Kind::forward);
    if (states_[b].live && !mayStay)
      failProgram(fmt::format("{} of chunk {} never frees {}", routineKindName(routine_.kind),
                              routine_.chunk, name(BufferIndex(b))));
  }

  const Routine& routine_;
  std::vector<BufferState> states_;
};

void checkBuffers(const Program& program) {
  std::map<int32_t, std::vector<BufferState>> saved;
  for (const Routine& r : program.routines)
    if (r.kind == Routine::Kind::forward) saved[r.chunk] = BufferWalk(r, {}).run();
  for (const Routine& r : program.routines)
    if (r.kind == Routine::Kind::backward)
      BufferWalk(r, saved[r.chunk]).run();
    else if (r.kind == Routine::Kind::update)
      BufferWalk(r, {}).run();
}

struct Message {
  int32_t boundary, microBatch;
  int64_t bytes;
  const Routine* routine;
  size_t instruction;
};

// (from stage, to stage, backward direction)
using Channel = std::tuple<int32_t, int32_t, bool>;

void collectMessages(const Program& program, const RankClass& rankClass,
                     std::map<Channel, std::vector<Message>>& sends,
                     std::map<Channel, std::vector<Message>>& receives) {
  for (const Call& call : rankClass.calls) {
    const Routine& routine = program.routines[call.routine];
    for (size_t i = 0; i < routine.instructions.size(); ++i) {
      const Instruction& in = routine.instructions[i];
      const Message message{in.boundary, call.microBatch, in.bytes.value, &routine, i};
      if (in.kind == Instruction::Kind::send)
        sends[{rankClass.stage, in.peerStage, in.backwardDirection}].push_back(message);
      if (in.kind == Instruction::Kind::receive)
        receives[{in.peerStage, rankClass.stage, in.backwardDirection}].push_back(message);
    }
  }
}

void checkChannel(const std::vector<Message>& sends, const std::vector<Message>& receives) {
  for (size_t i = 0; i < std::max(sends.size(), receives.size()); ++i) {
    if (i >= receives.size())
      fail(*sends[i].routine, sends[i].instruction,
           fmt::format("nobody receives micro-batch {} of boundary {}", sends[i].microBatch,
                       sends[i].boundary));
    const Message& r = receives[i];
    if (i >= sends.size())
      fail(*r.routine, r.instruction,
           fmt::format("nobody sends micro-batch {} of boundary {}", r.microBatch, r.boundary));
    const Message& s = sends[i];
    if (s.boundary != r.boundary || s.microBatch != r.microBatch)
      fail(*r.routine, r.instruction,
           fmt::format("receives micro-batch {} of boundary {} where the peer sends micro-batch "
                       "{} of boundary {}",
                       r.microBatch, r.boundary, s.microBatch, s.boundary));
    if (s.bytes != r.bytes)
      fail(*r.routine, r.instruction,
           fmt::format("receives {} bytes where {} are sent", r.bytes, s.bytes));
  }
}

void checkMessages(const Program& program) {
  std::map<Channel, std::vector<Message>> sends, receives;
  for (const RankClass& rankClass : program.rankClasses)
    collectMessages(program, rankClass, sends, receives);
  for (const auto& [channel, list] : receives) sends[channel];
  for (const auto& [channel, list] : sends) checkChannel(list, receives[channel]);
}

}  // namespace

std::string_view streamName(Stream s) {
  switch (s) {
    case Stream::compute:
      return "compute";
    case Stream::tensor:
      return "tensor";
    case Stream::expert:
      return "expert";
    case Stream::data:
      return "data";
    case Stream::send:
      return "send";
    case Stream::receive:
      return "receive";
  }
  return "compute";
}

std::string_view memoryCategoryName(MemoryCategory c) {
  switch (c) {
    case MemoryCategory::weights:
      return "weights";
    case MemoryCategory::gradients:
      return "gradients";
    case MemoryCategory::optimizer:
      return "optimizer";
    case MemoryCategory::masterWeights:
      return "master weights";
    case MemoryCategory::activations:
      return "activations";
    case MemoryCategory::communication:
      return "communication";
    case MemoryCategory::workspace:
      return "workspace";
    case MemoryCategory::reserve:
      return "reserve";
  }
  return "reserve";
}

GroupShape groupShape(const Program& program, const Instruction& in) {
  const bool transfer = in.kind != Instruction::Kind::collective;
  const int64_t ranks = program.mesh.size(transfer ? MeshAxes(MeshAxis::pipeline) : in.axes);
  return {transfer ? CollectiveKind::sendReceive : in.collective, ranks,
          program.mesh.ranks() / ranks};
}

void validate(const Program& program) {
  for (const Routine& routine : program.routines) checkIndices(program, routine);
  for (const RankClass& rankClass : program.rankClasses)
    for (const Call& call : rankClass.calls) {
      if (call.routine >= program.routines.size())
        failProgram(fmt::format("stage {} calls routine {} of {}", rankClass.stage, call.routine,
                                program.routines.size()));
      if (call.microBatch < 0 || call.microBatch >= program.microBatches)
        failProgram(fmt::format("stage {} runs micro-batch {} of {}", rankClass.stage,
                                call.microBatch, program.microBatches));
    }
  checkBuffers(program);
  checkMessages(program);
}

}  // namespace meshplan
