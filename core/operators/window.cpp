// SPDX-License-Identifier: Apache-2.0
#include "core/operators/window.h"

#include <algorithm>
#include <array>

#include "core/operators/support.h"

namespace meshplan {
namespace {

Shape listOf(const Attributes& attributes, std::string_view name, size_t count, int64_t fallback,
             int64_t least) {
  Shape list = attributes.getInts(name, Shape(count, fallback));
  if (list.empty()) list.assign(count, fallback);
  if (list.size() != count)
    rejectInputs("attribute '" + std::string(name) + "' has " + std::to_string(list.size()) +
                 " entries where " + std::to_string(count) + " are expected");
  for (int64_t v : list)
    if (v < least || v > (int64_t{1} << 40))
      rejectInputs("attribute '" + std::string(name) + "' holds " + std::to_string(v));
  return list;
}

}  // namespace

Window::Window(const Attributes& attributes, Shape kernel)
    : kernel_(std::move(kernel)),
      strides_(listOf(attributes, "strides", kernel_.size(), 1, 1)),
      dilations_(listOf(attributes, "dilations", kernel_.size(), 1, 1)),
      pads_(listOf(attributes, "pads", 2 * kernel_.size(), 0, -(int64_t{1} << 40))),
      autoPad_(attributes.getString("auto_pad", "NOTSET")),
      ceil_(attributes.getInt("ceil_mode", 0) != 0) {
  for (int64_t k : kernel_)
    if (k < 1) rejectInputs("the kernel " + shapeText(kernel_) + " has an extent below 1");
}

int64_t Window::reach(size_t i) const {
  return checkedAdd(checkedMul(dilations_[i], kernel_[i] - 1), 1);
}

Shape Window::slide(const Shape& spatial) const {
  if (spatial.size() != kernel_.size())
    rejectInputs("the kernel " + shapeText(kernel_) + " does not fit spatial dimensions " +
                 shapeText(spatial));
  Shape result;
  for (size_t i = 0; i < spatial.size(); ++i) {
    const bool same = isSame();
    const int64_t pads =
        autoPad_ == "NOTSET" || autoPad_.empty() ? pads_[i] + pads_[i + spatial.size()] : 0;
    const int64_t room = spatial[i] + pads - reach(i);
    if (!same && room < 0)
      rejectInputs("the kernel " + shapeText(kernel_) + " is larger than the input " +
                   shapeText(spatial));
    int64_t extent = same ? ceilDiv(spatial[i], strides_[i])
                          : (ceil_ ? ceilDiv(room, strides_[i]) : room / strides_[i]) + 1;
    const int64_t lastStart = (extent - 1) * strides_[i];
    if (ceil_ && !same && lastStart >= spatial[i] + pads_[i]) --extent;
    result.push_back(extent);
  }
  return result;
}

Shape Window::spread(const Attributes& attributes, const Shape& spatial) const {
  if (spatial.size() != kernel_.size())
    rejectInputs("the kernel " + shapeText(kernel_) + " does not fit spatial dimensions " +
                 shapeText(spatial));
  if (const Shape given = attributes.getInts("output_shape"); given.size() == spatial.size())
    return given;
  const Shape extra = listOf(attributes, "output_padding", spatial.size(), 0, 0);
  const bool same = isSame();
  Shape result;
  for (size_t i = 0; i < spatial.size(); ++i) {
    const int64_t full = checkedAdd(checkedMul(strides_[i], spatial[i] - 1), extra[i] + reach(i));
    const int64_t pads = autoPad_ == "VALID" ? 0 : pads_[i] + pads_[i + spatial.size()];
    result.push_back(same ? checkedMul(spatial[i], strides_[i]) : full - pads);
    if (result.back() < 1) rejectInputs("the padding leaves no output");
  }
  return result;
}

Padding Window::padding(const Shape& in, const Shape& out) const {
  Padding p;
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t total = std::max<int64_t>((out[i] - 1) * strides_[i] + reach(i) - in[i], 0);
    const bool given = autoPad_ == "NOTSET" || autoPad_.empty();
    const int64_t same = autoPad_ == "SAME_LOWER" ? total - total / 2 : total / 2;
    p.before.push_back(isSame() ? same : given ? pads_[i] : 0);
    p.after.push_back(isSame() ? total - same : given ? pads_[i + in.size()] : 0);
  }
  return p;
}

/// ONNX, ConvTranspose: the halves of a total that the output's extents imply, rounded down.
Padding Window::spreadPadding(const Attributes& attributes, const Shape& in,
                              const Shape& out) const {
  const bool given = attributes.getInts("output_shape").size() == in.size();
  const Shape extra = listOf(attributes, "output_padding", in.size(), 0, 0);
  Padding p;
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t total = strides_[i] * (in[i] - 1) + extra[i] + reach(i) - out[i];
    const int64_t half = total >> 1;
    const bool implied = given || isSame();
    const int64_t before = autoPad_ == "SAME_UPPER" ? half : total - half;
    p.before.push_back(implied ? before : autoPad_ == "VALID" ? 0 : pads_[i]);
    p.after.push_back(implied ? total - before : total - p.before.back());
  }
  return p;
}

Shape spatialExtents(const Shape& shape) {
  return Shape(shape.begin() + 2, shape.end());
}

std::string_view spatialName(size_t i, size_t count) {
  static constexpr std::array<std::string_view, 3> kNames{"depth", "height", "width"};
  return count <= 3 ? kNames[i + 3 - count] : dimName(i + 2);
}

std::string_view kernelName(size_t i, size_t count) {
  static constexpr std::array<std::string_view, 3> kNames{"kernel_depth", "kernel_height",
                                                          "kernel_width"};
  return count <= 3 ? kNames[i + 3 - count] : "kernel";
}

}  // namespace meshplan
