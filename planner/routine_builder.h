// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/program.h"
#include "planner/layer_cache.h"

namespace meshplan {

/// A tensor as one rank holds it at some point of a routine: placed somehow, in a buffer, complete
/// when instruction `ready` has ended (-1: from the start).
struct Version {
  LocalOperator::Where where;
  BufferIndex buffer = 0;
  int32_t ready = -1;
  bool gathered = false;  // made by an all-gather or a slice: not kept for the backward pass
};

/// Versions of tensors, the one that its producer left first.
using Versions = std::map<TensorId, std::vector<Version>>;

/// Builds one routine of a chunk. All routines of a chunk share one table of buffers, so that a
/// saved activation has the same index in the forward and the backward routine.
class RoutineBuilder {
 public:
  RoutineBuilder(Routine::Kind kind, int64_t chunk, LayerCache& layers,
                 std::vector<Buffer>& buffers)
      : layers_(layers), buffers_(buffers) {
    routine_.kind = kind;
    routine_.chunk = static_cast<int32_t>(chunk);
  }

  /// Whether the routine is to be executed and instructions come with bindings.
  bool binds() const { return layers_.binds(); }
  /// Appends an instruction; waits of -1 and duplicates are dropped. Returns its index.
  int32_t add(Instruction instruction, const std::vector<int32_t>& waits, Binding binding = {});
  /// A new buffer that instruction `by` (the next to be added if it is the current size) brings to
  /// life and writes.
  BufferIndex allocate(Instruction& by, std::string name, TensorId tensor, Bytes bytes,
                       MemoryCategory category);

  /// Emits the collectives and slices that bring `from` to `where`: the expert axis first, but
  /// where both axes shall shard one dimension, of which the tensor axis takes the outer parts. An
  /// all-reduce overwrites its operand if `inPlace`.
  Version convert(TensorId tensor, Version from, LocalOperator::Where where, bool inPlace,
                  int32_t notBefore, const std::string& name);

  int32_t size() const { return static_cast<int32_t>(routine_.instructions.size()); }
  Routine& routine() { return routine_; }

 private:
  Version step(TensorId tensor, const Version& from, MeshAxis axis, Placement to, bool inPlace,
               int32_t notBefore, const std::string& name);

  Version slice(TensorId tensor, const Version& from, Version to, MeshAxis axis, int32_t notBefore,
                const std::string& name);
  Binding conversionBinding(TensorId tensor, const Version& from, const Version& to,
                            MeshAxis axis) const;

  LayerCache& layers_;
  std::vector<Buffer>& buffers_;
  Routine routine_;
};

/// Ends lifetimes: a buffer dies with the last instruction that touches it; one made in `forward`
/// and touched by a backward routine is saved (scope microBatch) and dies there. Gives every
/// routine the whole buffer table.
void finishLifetimes(Routine& forward, const std::vector<Routine*>& backwards,
                     std::vector<Buffer> buffers);

}  // namespace meshplan
