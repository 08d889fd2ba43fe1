// SPDX-License-Identifier: Apache-2.0
#pragma once

// One operator of a training step with memory of its own, to be timed.

#include <string_view>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/host_tensor.h"
#include "core/training.h"

namespace meshplan {

/// An operator whose floating inputs are all differentiated, and whole numbers in [0, below).
struct OperatorCase {
  std::string_view def;
  Attributes attributes;
  std::vector<Shape> floats;  // inputs, then `wholes`
  std::vector<Shape> wholes = {};
  int64_t below = 2;
};

/// The forward operator and its gradient operators as `trainingGraph` makes them, on whole tensors
/// of random values. Throws Error(input) where the inputs do not fit.
class OperatorRun {
 public:
  OperatorRun(const OperatorCase& c, Precision precision, int threads);

  void forward();
  void gradients();

  /// FLOPs, and bytes read and written when each tensor is moved once (core/work.h).
  double forwardFlops() const { return forwardFlops_; }
  double gradientFlops() const { return gradientFlops_; }
  double forwardBytes() const { return forwardBytes_; }
  double gradientBytes() const { return gradientBytes_; }
  /// Whether arithmetic bounds it rather than memory.
  bool multiplies() const;

 private:
  void prepare(TensorId id, int64_t below);
  void measure(OpId id);
  void run(OpId id);

  Graph graph_;
  Precision precision_;
  CpuContext context_;
  OpId forward_;
  std::vector<OpId> gradients_;
  std::vector<HostTensor> tensors_;  // by TensorId
  std::vector<AxisRange> axes_;
  double forwardFlops_ = 0, gradientFlops_ = 0, forwardBytes_ = 0, gradientBytes_ = 0;
};

}  // namespace meshplan
