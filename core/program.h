// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/binding.h"
#include "core/collective.h"
#include "core/device_mesh.h"
#include "core/ids.h"
#include "core/training.h"
#include "core/work.h"

namespace meshplan {

/// In-order queues of a rank. Collectives have one per mesh axis; sends and receives one each.
enum class Stream : uint8_t { compute, tensor, expert, data, send, receive };
inline constexpr int kStreams = 6;
std::string_view streamName(Stream s);
constexpr uint8_t streamBit(Stream s) {
  return uint8_t(1u << static_cast<uint8_t>(s));
}

enum class MemoryCategory : uint8_t {
  weights,
  gradients,
  optimizer,
  masterWeights,
  activations,
  communication,
  workspace,
  reserve
};
inline constexpr int kMemoryCategories = 8;
std::string_view memoryCategoryName(MemoryCategory c);

/// A piece of a rank's memory. `step` buffers live for the whole step; `microBatch` buffers (saved
/// activations) from the forward to the backward call of a micro-batch; `scratch` buffers inside
/// one call. `offset` is inside the area of its scope: step buffers from the start of the rank's
/// arena, micro-batch buffers inside their slot, scratch buffers inside the scratch area shared by
/// all calls.
struct Buffer {
  enum class Scope : uint8_t { step, microBatch, scratch };
  std::string name;
  TensorId tensor;
  Bytes bytes;
  MemoryCategory category = MemoryCategory::activations;
  Scope scope = Scope::scratch;
  int64_t offset = 0;
};
using BufferIndex = uint32_t;

/// One thing a rank does. It starts when its stream is free, the instructions in `waits` (indices
/// in the same routine) have ended, and every instruction issued before it on the streams of
/// `drains` has ended.
struct Instruction {
  enum class Kind : uint8_t { compute, collective, send, receive };
  Kind kind = Kind::compute;
  Stream stream = Stream::compute;
  bool recomputed = false;  // a second forward
  uint8_t drains = 0;       // streamBit(s): wait for all earlier work on stream s

  // compute
  OpId op;            // the operator; for fused updates the first of them
  uint32_t work = 0;  // index into Program::work

  // collective, send, receive
  CollectiveKind collective = CollectiveKind::none;
  MeshAxes axes;  // the group
  Bytes bytes;    // S of core/collective.h
  /// Send and receive: the chunk whose output (forward) or input gradient (backward) travels. A
  /// send and a receive match when boundary, direction and micro-batch are equal.
  int32_t boundary = -1;
  bool backwardDirection = false;
  int32_t peerStage = -1;
  /// A collective over the pipeline axis that only some stages take part in (a tied parameter,
  /// named by `boundary`): how many do. 0: every rank of the group.
  int32_t participants = 0;

  std::vector<uint32_t> waits;
  /// Into Routine::buffers: `allocates` come to life when it starts, `frees` end when it ends.
  std::vector<BufferIndex> reads, writes, allocates, frees;
};

/// A straight list of instructions that is called once per micro-batch (forward or backward of a
/// chunk) or once per step. Written once, called often: a program's size does not grow with the
/// number of micro-batches.
struct Routine {
  enum class Kind : uint8_t { forward, backward, update };
  Kind kind = Kind::forward;
  int32_t chunk = 0;
  bool lastMicroBatch = false;  // the backward that also reduces the gradients
  std::vector<Instruction> instructions;
  std::vector<Buffer> buffers;  // those of micro-batch scope have the same index in the forward and
                                // backward routine of a chunk
  /// By instruction; empty unless the program was lowered to be executed.
  std::vector<Binding> bindings;
};

std::string_view routineKindName(Routine::Kind k);  // "forward", "backward" or "update"

struct Call {
  uint32_t routine = 0;
  int32_t microBatch = 0;
  int32_t slot = 0;  // which of its chunk's slots holds the micro-batch's saved activations
};

/// Room for the saved activations of the micro-batches that a chunk has in flight.
struct SlotPool {
  int32_t chunk = 0;
  Bytes slotBytes;
  int32_t slots = 0;
  int64_t offset = 0;  // in the rank's arena
};

/// The ranks that run the same list up to their coordinates: here, the ranks of one pipeline stage.
struct RankClass {
  int32_t stage = 0;
  int64_t ranks = 1;
  std::vector<Call> calls;
  std::vector<Buffer> residents;  // step scope: weights, gradients, optimizer state, reserve
  std::vector<ParameterPlace> parameters;

  // The arena, once planOffsets (planner/lowering.h) has laid it out: residents but the reserve,
  // slots, scratch.
  std::vector<SlotPool> slots;
  int64_t scratchOffset = 0;
  Bytes scratchBytes, arenaBytes;
};

/// A Plan lowered: what the Simulator and the Executor interpret. Device-free.
struct Program {
  MeshShape mesh;
  int64_t microBatches = 1;
  Precision precision = Precision::fp32;  // of the plan's training
  bool overlapTensor = false;             // as Plan::overlapTensor
  std::vector<Routine> routines;
  std::vector<RankClass> rankClasses;  // by stage
  std::vector<OperatorWork> work;      // distinct local work
};

/// How the ranks of a collective, send or receive lie in the mesh: so many of them in a group, and
/// so many groups over the same axes. A transfer's group is that of the pipeline axis.
struct GroupShape {
  CollectiveKind kind = CollectiveKind::none;
  int64_t ranks = 1, groups = 1;
};
GroupShape groupShape(const Program& program, const Instruction& instruction);

/// Proves what a correct program has, and throws Error(internal) naming the instruction that breaks
/// it: each receive has exactly one send of equal bytes, in equal order per pair of stages and
/// direction; waits point backwards; a buffer is written before it is read and not used after it is
/// freed.
void validate(const Program& program);

}  // namespace meshplan
