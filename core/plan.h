// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/device_mesh.h"
#include "core/training.h"

namespace meshplan {

enum class ScheduleKind : uint8_t { gpipe, oneFOneB, interleaved };
enum class Recompute : uint8_t { none, selective, full };
std::string_view scheduleName(ScheduleKind k);  // "gpipe", "1f1b", "interleaved"
std::string_view recomputeName(Recompute r);

/// What a strategy does with one operator on one mesh axis: the index of the loop-nest axis that is
/// split, or kReplicated (every rank of the group does the same work), or kPartialThrough (linear
/// operators only: Partial inputs give Partial outputs).
inline constexpr int8_t kReplicated = -1;
inline constexpr int8_t kPartialThrough = -2;

/// One operator's choices on the mesh axes inside a stage.
struct OperatorStrategy {
  int8_t tensor = kReplicated;
  /// Normally the batch axis; the experts axis for expert-parallel operators.
  int8_t expert = kReplicated;
  int8_t on(MeshAxis a) const { return a == MeshAxis::tensor ? tensor : expert; }
  bool operator==(const OperatorStrategy&) const = default;
};

/// Every decision about a training step and nothing derived. Blocks are those of `findBlocks`
/// (core/blocks.h), chunks are runs of blocks: chunk c holds blocks [chunkStarts[c],
/// chunkStarts[c+1]) and lives on stage c % pipeline.
struct Plan {
  MeshShape mesh;
  int64_t globalBatch = 1;
  int64_t microBatch = 1;  // samples per replica and micro-batch
  ScheduleKind schedule = ScheduleKind::oneFOneB;
  int64_t virtualStages = 1;  // chunks per stage; > 1 only when interleaved
  Recompute recompute = Recompute::none;
  /// 0: plain data parallel, 1: optimizer state, 2: + gradients, 3: + parameters sharded.
  int zeroStage = 0;
  TrainingOptions training;
  /// Whether stages wait for each send and receive before they go on, as Megatron-LM's
  /// non-overlapped point-to-point does, instead of computing meanwhile.
  bool blockingTransfers = false;
  /// Whether tensor-parallel gathers and scatters run in pieces beside the product that reads or
  /// makes them (Transformer Engine's user buffers).
  bool overlapTensor = false;
  /// ZeRO-3: whether weights are gathered one parameter at a time when they are needed (the first
  /// DeepSpeed ZeRO-3), instead of a block at a time while the one before it runs (FSDP).
  bool gatherSingly = false;
  int64_t bucketBytes = 25 * kMiB;   // gradient buckets (PyTorch DDP's default bucket_cap_mb)
  std::vector<int64_t> chunkStarts;  // pipeline x virtualStages + 1 entries
  std::vector<OperatorStrategy> strategies;  // per forward operator of the graph

  int64_t microBatches() const { return globalBatch / (microBatch * mesh.replicas()); }
  int64_t chunks() const { return mesh.pipeline * virtualStages; }
};

/// "dp=4,tp=2,pp=1,ep=1,vpp=1,mbs=2,zero=1,sp=on,schedule=1f1b,recompute=none": as --strategy takes
/// it.
std::string strategyText(const Plan& plan, bool sequenceParallel);

/// Why a candidate was not taken, with the numbers: "it does not fit" is a value.
struct Rejection {
  enum class Reason : uint8_t { memory, divisibility, slower, unsupported };
  Reason reason = Reason::memory;
  std::string text;  // one sentence for the user
  double value = 0;  // what it needs (bytes, seconds, ...)
  double limit = 0;  // what there is
};

}  // namespace meshplan
