// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "backend/cpu/blocks.h"
#include "backend/cpu/movement_tables.h"
#include "backend/cpu/padding.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/strided.h"

namespace meshplan {
namespace {

using namespace padding;

/// Per dimension of the result, the place in the source.
std::vector<std::vector<int64_t>> padSources(const Attributes& a, const Shape& x, const Shape& y) {
  const std::vector<int64_t> pads = a.getInts("pads");
  const PadMode mode = padMode(a);
  std::vector<std::vector<int64_t>> sources(y.size());
  for (size_t d = 0; d < y.size(); ++d)
    for (int64_t i = 0; i < y[d]; ++i) sources[d].push_back(paddedFrom(mode, i - pads[d], x[d]));
  return sources;
}

/// Calls f(place in y, place in x) for every element of y, of modes that repeat elements.
template <class F>
void forPadded(const KernelCall& call, const Shape& x, const Shape& y, F&& f) {
  const auto sources = padSources(call.op->attributes, x, y);
  const std::vector<int64_t> strides = denseStrides(x);
  std::vector<int64_t> index(y.size());
  const int64_t elements = elementCount(y);
  for (int64_t at = 0; at < elements; ++at) {
    int64_t place = 0;
    for (size_t d = 0; d < y.size(); ++d)
      place += sources[d][static_cast<size_t>(index[d])] * strides[d];
    f(at, place);
    for (size_t d = y.size(); d-- > 0;) {
      if (++index[d] < y[d]) break;
      index[d] = 0;
    }
  }
}

void fillConstant(CpuContext& context, const TensorView& y, double value) {
  if (value == 0 || y.type.elements() == 0) return fillZero(context, y);
  storeBlock(y, 0, 1, &value);
  StridedBox repeat;
  repeat.add(y.type.elements() - 1, 0, 1);
  repeat.toOffset = 1;
  copyBox(context, repeat, y, y);
}

void padForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Attributes& a = call.op->attributes;
  if (padMode(a) == PadMode::constant) {
    fillConstant(context, y, a.getFloat("value", 0));
    return copyBox(context, sharedBox(a, x.type.shape, y.type.shape), x, y);
  }
  const auto bytes = static_cast<size_t>(dtypeBytes(x.type.dtype));
  forPadded(call, x.type.shape, y.type.shape, [&](int64_t at, int64_t place) {
    std::memcpy(y.as<char>() + static_cast<size_t>(at) * bytes,
                x.as<char>() + static_cast<size_t>(place) * bytes, bytes);
  });
}

void padBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Attributes& a = call.op->attributes;
  fillZero(context, dx);
  if (padMode(a) == PadMode::constant)
    return copyBox(context, sharedBox(a, dx.type.shape, dy.type.shape).reversed(), dy, dx);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    forPadded(call, dx.type.shape, dy.type.shape, [&](int64_t at, int64_t place) {
      A before, more;
      const A sum = *loadBlock(dx, place, 1, &before) + *loadBlock(dy, at, 1, &more);
      storeBlock(dx, place, 1, &sum);
    });
  });
}

void triangle(CpuContext& context, const KernelCall& call, const TensorView& x,
              const TensorView& y) {
  const Shape& shape = x.type.shape;
  const int64_t columns = shape.back(), rows = shape[shape.size() - 2];
  const bool upper = call.op->attributes.getInt("upper", 1) != 0;
  const int64_t k = call.op->attributes.getInt("k", 0), bytes = dtypeBytes(x.type.dtype);
  const int64_t count = rows * columns == 0 ? 0 : x.type.elements() / columns;
  parallelRanges(context, count, columns, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto [first, last] = keptColumns(upper, k, r % rows, columns);
      char* to = y.as<char>() + r * columns * bytes;
      std::memset(to, 0, static_cast<size_t>(columns * bytes));
      std::memcpy(to + first * bytes, x.as<char>() + (r * columns + first) * bytes,
                  static_cast<size_t>((last - first) * bytes));
    }
  });
}
void triangleForward(CpuContext& context, const KernelCall& call) {
  triangle(context, call, call.inputs[0], call.outputs[0]);
}
void triangleBackward(CpuContext& context, const KernelCall& call) {
  triangle(context, call, *call.outputGradient(0), *call.inputGradient(0));
}

/// The first `lengths` steps of each sequence backwards, all where there are none; its own inverse.
void reverse(const KernelCall& call, const TensorView& x, const TensorView& lengths,
             const TensorView& y) {
  const Shape& shape = x.type.shape;
  const size_t time = dimensionIndex(call.op->attributes.getInt("time_axis", 0), shape.size());
  const size_t batch = dimensionIndex(call.op->attributes.getInt("batch_axis", 1), shape.size());
  const std::vector<int64_t> strides = denseStrides(shape);
  const auto bytes = static_cast<size_t>(dtypeBytes(x.type.dtype));
  for (int64_t at = 0; at < x.type.elements(); ++at) {
    const int64_t t = at / strides[time] % shape[time], b = at / strides[batch] % shape[batch];
    int64_t buffer;
    const int64_t length = lengths.data ? *loadBlock(lengths, b, 1, &buffer) : shape[time];
    const int64_t from = t < length ? at + (length - 1 - 2 * t) * strides[time] : at;
    std::memcpy(y.as<char>() + static_cast<size_t>(at) * bytes,
                x.as<char>() + static_cast<size_t>(from) * bytes, bytes);
  }
}
void reverseForward(CpuContext&, const KernelCall& call) {
  reverse(call, call.inputs[0], call.inputs.size() > 1 ? call.inputs[1] : TensorView{},
          call.outputs[0]);
}
void reverseBackward(CpuContext&, const KernelCall& call) {
  const TensorView* lengths = call.forwardInput(1);
  reverse(call, *call.outputGradient(0), lengths ? *lengths : TensorView{}, *call.inputGradient(0));
}

constexpr CpuKernels kKernels[] = {
    {"Slice", sliceForward<CpuContext>, sliceBackward<CpuContext>},
    {"Pad", padForward, padBackward},
    {"Trilu", triangleForward, triangleBackward},
    {"ReverseSequence", reverseForward, reverseBackward},
};

}  // namespace

std::span<const CpuKernels> paddingKernels() {
  return kKernels;
}

}  // namespace meshplan
