// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/kernel.h"

namespace meshplan {

/// The part of a nest's axis that a call works on; all of `extent` where the call says nothing.
AxisRange rangeOf(const KernelCall& call, size_t axis, int64_t extent);

/// Where the elements of a local tensor, whose dimension i walks axis i of the nest, lie in the
/// whole one: runs that are contiguous in both.
class GlobalPlaces {
 public:
  GlobalPlaces(const KernelCall& call, const Shape& local);

  int64_t rows() const { return rows_; }
  int64_t run() const { return run_; }
  /// The index in the whole tensor of the first element of a run.
  int64_t start(int64_t row) const;

 private:
  Shape local_;  // dimensions that number the runs
  std::vector<int64_t> strides_;
  int64_t first_ = 0, rows_ = 1, run_ = 1;
};

}  // namespace meshplan
