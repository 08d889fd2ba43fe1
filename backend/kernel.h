// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "core/graph.h"

namespace meshplan {

/// A dense row-major tensor in memory, aligned to 64 bytes; `data` may be null when it has no
/// elements.
struct TensorView {
  void* data = nullptr;
  TensorType type;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// The part [begin, begin + extent) of a loop axis of `whole` indices that this rank works on.
struct AxisRange {
  int64_t begin = 0, extent = 1, whole = 1;
  bool split() const { return extent != whole; }
};

/// One execution of an operator on local tensors. Views are in the order of the operator's inputs
/// and outputs and never overlap, outputs with inputs neither. Types are local: sizes come from
/// them, never from attributes.
struct KernelCall {
  const Operator* op = nullptr;
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
  /// Per axis of the forward operator's nest (OperatorDef::nest): which part of the whole this call
  /// sees. Means divide by whole extents; indices (vocabulary, positions, causal masks, random
  /// numbers) count from `begin`.
  std::span<const AxisRange> axes;
  /// Bit i: add to outputs[i] instead of overwriting it (weight gradients).
  uint32_t accumulate = 0;
  /// Gradient of the total loss with respect to this loss operator's output; only its gradient
  /// operator reads it.
  double lossScale = 1;
  /// What random numbers depend on besides the operator and the global index of an element.
  uint64_t seed = 0;
  /// Where the seed is in StepValues::seeds, for devices that repeat a step with other values.
  int64_t seedSlot = 0;
  /// False: evaluation; Dropout and BatchNormalization behave as in inference.
  bool training = true;

  bool isGradient() const { return !op->outputSlots.empty(); }
  bool accumulates(size_t output) const { return accumulate >> output & 1; }
  /// Whether this rank adds what must be added once where results are summed over ranks (a bias of
  /// a product whose reduction is split): all split reduce axes begin at 0.
  bool addsOnce(const LoopNest& forwardNest) const;

  // Of a gradient operator: the tensor that stands for a slot of the forward operator, or null.
  const TensorView* forwardInput(size_t i) const { return input(Slot::input, i); }
  const TensorView* forwardOutput(size_t i) const { return input(Slot::output, i); }
  const TensorView* outputGradient(size_t i) const { return input(Slot::outputGradient, i); }
  /// Where to put the gradient of forward input i; null when nobody wants it. `index` receives its
  /// position in `outputs`, for `accumulates`.
  const TensorView* inputGradient(size_t i, size_t* index = nullptr) const;

 private:
  const TensorView* input(Slot::Kind kind, size_t index) const;
};

}  // namespace meshplan
