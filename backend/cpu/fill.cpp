// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <numbers>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/lines.h"
#include "backend/cpu/movement_tables.h"
#include "backend/cpu/random.h"
#include "backend/cpu/strided.h"
#include "core/error.h"

namespace meshplan {
namespace {

void store(const TensorView& y, int64_t at, double value) {
  storeBlock(y, at, 1, &value);
}

void eyeForward(CpuContext& context, const KernelCall& call) {
  const TensorView& y = call.outputs[0];
  const int64_t k = call.op->attributes.getInt("k", 0);
  fillZero(context, y);
  for (int64_t row = 0; row < y.type.shape[0]; ++row)
    if (row + k >= 0 && row + k < y.type.shape[1]) store(y, row * y.type.shape[1] + row + k, 1);
}

/// Indices outside [-depth, depth) give no hot place.
void oneHotForward(CpuContext&, const KernelCall& call) {
  const TensorView &indices = call.inputs[0], &y = call.outputs[0];
  const Attributes& a = call.op->attributes;
  const Lines lines(y.type.shape, a.getInt("axis", -1));
  const double off = a.getFloat("off_value", 0), on = a.getFloat("on_value", 1);
  for (int64_t at = 0; at < y.type.elements(); ++at) store(y, at, off);
  for (int64_t line = 0; line < lines.count(); ++line) {
    int64_t buffer;
    int64_t index = *loadBlock(indices, line, 1, &buffer);
    if (index < 0) index += lines.extent;
    if (index >= 0 && index < lines.extent) store(y, lines.place(line, index), on);
  }
}

/// By place, so that parts of a tensor hold what the whole would.
void randomForward(CpuContext&, const KernelCall& call) {
  const TensorView& y = call.outputs[0];
  const Attributes& a = call.op->attributes;
  const bool normal = a.getString("distribution", "uniform") == "normal";
  const double low = a.getFloat("low", 0), high = a.getFloat("high", 1);
  const double mean = a.getFloat("mean", 0), scale = a.getFloat("scale", 1);
  const PlacedRandom random(call.seed, call.op->name);
  const GlobalPlaces places(call, y.type.shape);
  for (int64_t row = 0; row < places.rows(); ++row)
    for (int64_t i = 0; i < places.run(); ++i) {
      const auto place = 2 * static_cast<uint64_t>(places.start(row) + i);
      const double u = random.uniform(place), v = random.uniform(place + 1);
      // Box and Muller 1958.
      const double gauss = std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v);
      store(y, row * places.run() + i, normal ? mean + scale * gauss : low + (high - low) * u);
    }
}

bool isNonZero(const TensorView& x, int64_t at) {
  const auto bytes = static_cast<size_t>(dtypeBytes(x.type.dtype));
  if (isFloating(x.type.dtype)) {
    double buffer;
    return *loadBlock(x, at, 1, &buffer) != 0;
  }
  const char* element = x.as<char>() + static_cast<size_t>(at) * bytes;
  return std::any_of(element, element + bytes, [](char c) { return c != 0; });
}

/// The result has as many columns as its type says; those that are not needed stay zero.
void nonZeroForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const std::vector<int64_t> strides = denseStrides(x.type.shape);
  const int64_t columns = y.type.shape[1];
  fillZero(context, y);
  int64_t found = 0;
  for (int64_t at = 0; at < x.type.elements(); ++at) {
    if (!isNonZero(x, at)) continue;
    if (found == columns)
      throw Error(ErrorKind::runtime, "more elements are not zero than the result has room for",
                  "make the result as large as the input")
          .at(call.op->name);
    for (size_t d = 0; d < strides.size(); ++d)
      y.as<int64_t>()[static_cast<int64_t>(d) * columns + found] =
          at / strides[d] % x.type.shape[d];
    ++found;
  }
}

/// Entries along the axis whose condition holds, as many as the result has room for; all of them
/// where there is no condition.
void compressForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t axis = call.op->attributes.getInt("axis", 0);
  const Lines from(x.type.shape, axis), to(y.type.shape, axis);
  const int64_t conditions = call.inputs.size() > 1 ? call.inputs[1].type.elements() : from.extent;
  int64_t next = 0;
  fillZero(context, y);
  for (int64_t i = 0; i < std::min(conditions, from.extent) && next < to.extent; ++i) {
    if (call.inputs.size() > 1 && !isNonZero(call.inputs[1], i)) continue;
    StridedBox box;
    box.add(from.outer, from.extent * from.inner, to.extent * to.inner);
    box.add(from.inner, 1, 1);
    box.fromOffset = i * from.inner;
    box.toOffset = next * to.inner;
    copyBox(context, box, x, y);
    ++next;
  }
}

constexpr CpuKernels kKernels[] = {
    {"EyeLike", eyeForward},     {"OneHot", oneHotForward},     {"RandomLike", randomForward},
    {"NonZero", nonZeroForward}, {"Compress", compressForward},
};

}  // namespace

std::span<const CpuKernels> fillKernels() {
  return kKernels;
}

}  // namespace meshplan
