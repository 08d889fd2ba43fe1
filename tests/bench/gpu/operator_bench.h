// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/cuda/cuda_context.h"
#include "core/graph.h"

namespace meshplan {

/// One operator at full size on the GPU, on random numbers: its forward pass and its gradient
/// operators.
class OperatorBench {
 public:
  /// `weightGradients`: the type of all gradients but that of input 0; otherwise the inputs' own.
  OperatorBench(CudaContext& context, std::string_view def, Attributes attributes,
                std::vector<TensorType> inputs, std::optional<DType> weightGradients = {});

  /// Seconds of one run: the median of `repeats` groups of runs, each long enough for the clock.
  double forwardSeconds(int repeats = 5);
  double backwardSeconds(int repeats = 5);
  /// Bytes that the pass has to move at least: each of its tensors once.
  double forwardBytes() const;
  double backwardBytes() const;
  double forwardFlops() const;
  double backwardFlops() const;
  /// Whether an operator ran on the host.
  bool onHost() const { return !context_.onHost().empty(); }

 private:
  struct Pass {
    Operator op;
    std::vector<TensorView> inputs, outputs;
  };

  TensorView place(const TensorType& type);
  Pass gradientOf(size_t first, size_t last);
  void run(const Pass& pass);
  double seconds(const std::vector<Pass>& passes, int repeats);
  static double bytesOf(const Pass& pass);

  CudaContext& context_;
  std::optional<DType> weightGradients_;
  std::vector<TensorType> inputTypes_, outputTypes_;
  std::vector<AxisRange> axes_;
  Pass forward_;
  std::vector<Pass> backward_;
};

/// Seconds of `work`, which enqueues on the stream in use: the median of `repeats` groups.
double medianSeconds(CudaContext& context, const std::function<void()>& work, int repeats = 5);

}  // namespace meshplan
