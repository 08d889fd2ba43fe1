// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// A tensor in 64-byte aligned memory of its own, read and written as doubles.
class Array {
 public:
  Array() = default;
  explicit Array(TensorType type);
  Array(TensorType type, const std::vector<double>& values);

  const TensorType& type() const { return type_; }
  const Shape& shape() const { return type_.shape; }
  TensorView view() const;
  std::vector<double> values() const;
  bool operator==(const Array& other) const;  // bit by bit

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  TensorType type_;
  std::vector<Line> lines_;
};

/// Values in [-1, 1) that follow from the seed.
Array randomArray(DType dtype, const Shape& shape, uint64_t seed);
Array zeros(DType dtype, const Shape& shape);

/// One operator to run, alone or as the part that a rank sees.
struct KernelCase {
  std::string_view def;
  Attributes attributes;
  std::vector<Array> inputs;
  std::vector<AxisRange> axes = {};  // empty: nothing is split
  int threads = 2;
  bool training = true;
  uint64_t seed = 0;
};

/// Runs a kernel on tensors in the host's memory.
using KernelRunner = std::function<void(const KernelCall&)>;

std::vector<Array> runForward(const KernelCase& c, CpuContext* context = nullptr);
std::vector<Array> runForward(const KernelCase& c, const KernelRunner& runner);

/// Gradients of all floating inputs, from gradient operators built as `trainingGraph` builds them:
/// they read what the def's `needs` says and nothing else. `outputGradients` may be shorter than
/// the outputs. `sums`, if given, holds what the gradients are added to. A weight's gradient (any
/// but input 0's) is of `weightGradients` where that is given.
std::vector<std::optional<Array>> runBackward(
    const KernelCase& c, const std::vector<Array>& outputs,
    const std::vector<Array>& outputGradients,
    const std::vector<std::optional<Array>>* sums = nullptr,
    std::optional<DType> weightGradients = {}, const KernelRunner& runner = {});

/// Largest |a - b| / max(1, |b|).
double largestError(const std::vector<double>& a, const std::vector<double>& b);
double largestError(const Array& a, const Array& b);

/// Largest error of the gradients against central differences of sum(output 0 x weights).
/// fp64 only.
double gradientError(const KernelCase& c);

/// Largest difference of outputs and gradients from those of the same case in fp64.
double precisionError(const KernelCase& c);

/// Largest difference between running whole and in `parts` parts along the axis of that name
/// (forward and backward); parts are concatenated or, where the axis is reduced, added.
double shardingError(const KernelCase& c, std::string_view axis, int64_t parts = 2);
double shardingError(const KernelCase& c, size_t axis, int64_t parts = 2);

/// Largest difference between gradients added to something and gradients plus that.
double accumulationError(const KernelCase& c);

}  // namespace meshplan
