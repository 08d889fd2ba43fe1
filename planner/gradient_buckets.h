// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <vector>

#include "planner/chunk_parameters.h"
#include "planner/routine_builder.h"

namespace meshplan {

/// Collects weight gradients in the order in which the backward pass finishes them and reduces them
/// over the replicas bucket by bucket, on the data stream, as PyTorch DDP and Megatron-LM do:
/// all-reduce without ZeRO, reduce-scatter with. Inactive (for a micro-batch that only accumulates)
/// it does nothing.
class GradientBuckets {
 public:
  GradientBuckets(const Plan& plan, const ChunkParameters& parameters, bool active);

  /// One contribution to a parameter's gradient is complete when instruction `ready` ends. `buffer`
  /// is the whole gradient where only a share of it is kept (ZeRO-2 and 3), else nothing.
  void add(RoutineBuilder& builder, TensorId parameter, int32_t ready,
           const std::vector<BufferIndex>& buffer);
  /// Reduces what is left.
  void flush(RoutineBuilder& builder);

 private:
  struct Bucket {
    Bytes bytes;
    std::vector<int32_t> waits;
    std::vector<BufferIndex> gradients;
    Binding binding;
  };
  void bind(Bucket& bucket, const LocalParameter& parameter,
            const std::vector<BufferIndex>& buffer) const;
  void emit(RoutineBuilder& builder, MeshAxes replicas, Bucket& bucket);

  const Plan& plan_;
  const ChunkParameters& parameters_;
  bool active_;
  std::vector<int> left_;  // contributions still to come, per parameter
  std::map<MeshAxes, Bucket> buckets_;
};

}  // namespace meshplan
