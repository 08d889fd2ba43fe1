// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/attributes.h"
#include "core/tensor.h"

namespace meshplan {

struct Padding {
  Shape before, after;
};

/// A sliding window over the spatial dimensions (those after batch and channels), from ONNX's
/// attributes strides, pads, dilations, auto_pad and ceil_mode. Throws Error(input) for lists of
/// another length, for strides, dilations or kernels below 1, and for a window that fits nowhere.
class Window {
 public:
  Window(const Attributes& attributes, Shape kernel);

  const Shape& kernel() const { return kernel_; }
  /// Output extents of a convolution or a pooling over inputs of these spatial extents.
  Shape slide(const Shape& spatial) const;
  /// Output extents of a transposed convolution (attributes output_padding, output_shape).
  Shape spread(const Attributes& attributes, const Shape& spatial) const;

  const Shape& strides() const { return strides_; }
  const Shape& dilations() const { return dilations_; }
  /// Padding before and after each dimension, for `slide` from `in` to `out` extents. A window of
  /// ceil_mode may reach beyond it.
  Padding padding(const Shape& in, const Shape& out) const;
  /// Padding that a transposed convolution takes off its result.
  Padding spreadPadding(const Attributes& attributes, const Shape& in, const Shape& out) const;
  /// From the first to the last element of a window, both counted.
  int64_t reach(size_t i) const;

 private:
  bool isSame() const { return autoPad_ == "SAME_UPPER" || autoPad_ == "SAME_LOWER"; }

  Shape kernel_, strides_, dilations_, pads_;
  std::string autoPad_;
  bool ceil_ = false;
};

/// The dimensions after batch and channels.
Shape spatialExtents(const Shape& shape);
std::string_view spatialName(size_t i, size_t count);  // "depth", "height", "width"
std::string_view kernelName(size_t i, size_t count);

}  // namespace meshplan
