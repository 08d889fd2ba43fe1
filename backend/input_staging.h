// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <tuple>

#include "backend/rank_device.h"
#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// Tensors that no operator makes, by TensorId index, in host memory that outlives the step: those
/// that grow with the batch hold the whole global batch, in the dtype of the training graph.
using StepInputs = std::map<uint32_t, TensorView>;

/// Brings a rank's part of the inputs to its device. Micro-batch m of replica d takes rows ((m *
/// data + d) * expert + e) * microBatch onwards of the global batch, so that all plans with the
/// same micro-batch see the same groups of samples.
class InputStaging {
 public:
  InputStaging(const Graph& graph, const Program& program, MeshCoordinates coordinates,
               RankDevice& device)
      : graph_(graph), program_(program), at_(coordinates), device_(device) {}

  /// The operand's elements on the device, valid until the same operand is asked for again; on a
  /// device with streams, which works on several micro-batches at once, until the next step. There
  /// they must be staged before. Throws Error(usage) naming the input that is missing or has
  /// another size.
  void* fetch(const StepInputs& inputs, const Operand& operand, int64_t microBatch);
  /// Brings the operand's elements to the place where `fetch` finds them.
  void* stage(const StepInputs& inputs, const Operand& operand, int64_t microBatch);

 private:
  int64_t coordinate(MeshAxis a) const { return at_[static_cast<size_t>(a)]; }
  const std::byte* rows(const TensorView& all, const Operand& operand, int64_t microBatch);

  const Graph& graph_;
  const Program& program_;
  MeshCoordinates at_;
  RankDevice& device_;
  std::byte*& placeOf(const Operand& operand, int64_t microBatch);

  std::map<std::tuple<uint32_t, int8_t, int8_t, int64_t>, std::byte*> staged_;
  std::vector<std::byte> gathered_, part_;
};

}  // namespace meshplan
