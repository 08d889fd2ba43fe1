// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/plan.h"
#include "planner/layer_cache.h"

namespace meshplan {

/// One parameter that a chunk uses, as one rank holds it.
struct LocalParameter {
  TensorId tensor;
  TensorType type;  // local, before ZeRO
  DType gradientType = DType::f32;
  MeshAxes replicas;  // the axes over which its gradient is summed: data, and expert unless sharded
                      // there
  bool partialOnTensor = false;  // its gradient is also Partial over the tensor axis
  int contributions = 0;         // gradient operators of this chunk that add to it
  /// A tied parameter that several chunks of one stage use belongs to the first of them, whose
  /// backward pass comes last: that one holds, reduces and updates it.
  bool owned = true;
  int8_t tensorDim = -1, expertDim = -1;  // the dimensions sharded over these axes
  /// Elements of one replica's share, of as many as there are replicas: rounded up to 64, so that
  /// shares are equal and aligned. The memory of a whole copy has the padding too.
  int64_t shareElements = 0, shares = 1;

  int64_t paddedElements() const { return shareElements * shares; }
  Bytes weightBytes() const { return Bytes(paddedElements() * dtypeBytes(type.dtype)); }
  Bytes gradientBytes() const { return Bytes(paddedElements() * dtypeBytes(gradientType)); }
};

/// The parameters that a chunk's forward operators use, in order of first use.
class ChunkParameters {
 public:
  ChunkParameters(const TrainingModel& model, const Plan& plan, LayerCache& layers, int64_t chunk);

  const std::vector<LocalParameter>& all() const { return all_; }
  /// Position in all(); -1 when the tensor is none of them.
  int indexOf(TensorId t) const { return indexOf_[t.index()]; }
  const LocalParameter& at(TensorId t) const { return all_[static_cast<size_t>(indexOf(t))]; }

 private:
  void addUse(const TrainingModel& model, const Plan& plan, LayerCache& layers, OpId op,
              size_t input);

  std::vector<LocalParameter> all_;
  std::vector<int> indexOf_;
};

/// The stages that use a parameter (several when it is tied).
std::vector<int64_t> stagesUsing(const TrainingModel& model, const Plan& plan, TensorId parameter);

}  // namespace meshplan
