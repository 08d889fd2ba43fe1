// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/axis_ranges.h"

namespace meshplan {

AxisRange rangeOf(const KernelCall& call, size_t axis, int64_t extent) {
  return axis < call.axes.size() ? call.axes[axis] : AxisRange{0, extent, extent};
}

GlobalPlaces::GlobalPlaces(const KernelCall& call, const Shape& local) {
  std::vector<int64_t> strides(local.size());
  int64_t stride = 1;
  size_t runDims = 0;
  for (size_t d = local.size(); d-- > 0;) {
    const AxisRange range = rangeOf(call, d, local[d]);
    strides[d] = stride;
    first_ += range.begin * stride;
    if (run_ == stride) {  // all dimensions behind are whole
      run_ *= local[d];
      ++runDims;
    } else {
      rows_ *= local[d];
    }
    stride *= range.whole;
  }
  local_.assign(local.begin(), local.end() - static_cast<std::ptrdiff_t>(runDims));
  strides_.assign(strides.begin(), strides.end() - static_cast<std::ptrdiff_t>(runDims));
}

int64_t GlobalPlaces::start(int64_t row) const {
  int64_t place = first_;
  for (size_t d = local_.size(); d-- > 0;) {
    place += row % local_[d] * strides_[d];
    row /= local_[d];
  }
  return place;
}

}  // namespace meshplan
