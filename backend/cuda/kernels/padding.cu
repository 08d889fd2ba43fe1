// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/padding.cpp. Bound by bandwidth.
#include "backend/cpu/padding.h"

#include <cstring>

#include "backend/cuda/box_kernels.h"
#include "backend/cuda/kernels/box_layout.h"
#include "backend/cuda/kernels/convert.h"
#include "backend/cuda/kernels/indices.h"
#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/movement_tables.h"

namespace meshplan {
namespace {

using device::BoxLayout;
using device::Divisor;
using padding::PadMode;

template <class T>
struct Fill {
  T* to;
  T value;
  __device__ void operator()(int64_t i) const { to[i] = value; }
};

/// Calls f with an unsigned number as large as an element.
template <class F>
void withBytes(DType dtype, F&& f) {
  const int64_t bytes = dtypeBytes(dtype);
  if (bytes == 1) return f(uint8_t{});
  if (bytes == 2) return f(uint16_t{});
  if (bytes == 4) return f(uint32_t{});
  f(uint64_t{});
}

void fillConstant(CudaContext& context, const TensorView& y, double value) {
  if (value == 0) return fillZero(context, y);
  withBytes(y.type.dtype, [&](auto number) {
    using T = decltype(number);
    uint64_t bits = 0;
    device::storeElement<double>(y.type.dtype, &bits, 0, value);
    T element;
    std::memcpy(&element, &bits, sizeof(T));
    forEach(context, y.type.elements(), Fill<T>{y.as<T>(), element});
  });
}

/// Elements of y from places of x in it, outside it too, dimension by dimension.
template <class T>
struct PadElement {
  static constexpr int kDims = 8;

  PadElement(const Attributes& a, const TensorView& x_, const TensorView& y_)
      : x(x_.as<T>()),
        y(y_.as<T>()),
        mode(padding::padMode(a)),
        dims(static_cast<int>(y_.type.shape.size())) {
    const std::vector<int64_t> pads = a.getInts("pads"), dense = denseStrides(x_.type.shape);
    for (int d = 0; d < dims; ++d) {
      const auto at = static_cast<size_t>(d);
      extents[d] = Divisor(std::max<int64_t>(1, y_.type.shape[at]));
      within[d] = x_.type.shape[at];
      begins[d] = pads[at];
      strides[d] = dense[at];
    }
  }

  __device__ void operator()(int64_t i) const {
    int64_t rest = i, place = 0;
    for (int d = dims - 1; d >= 0; --d) {
      const int64_t next = extents[d].quotient(rest), index = rest - next * extents[d].by();
      place += padding::paddedFrom(mode, index - begins[d], within[d]) * strides[d];
      rest = next;
    }
    y[i] = x[place];
  }

  const T* x;
  T* y;
  PadMode mode;
  int dims;
  Divisor extents[kDims];
  int64_t within[kDims] = {}, begins[kDims] = {}, strides[kDims] = {};
};

void padForward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Attributes& a = call.op->attributes;
  if (padding::padMode(a) == PadMode::constant) {
    fillConstant(context, y, a.getFloat("value", 0));
    return copyBox(context, padding::sharedBox(a, x.type.shape, y.type.shape), x, y);
  }
  withBytes(x.type.dtype, [&](auto element) {
    forEach(context, y.type.elements(), PadElement<decltype(element)>(a, x, y));
  });
}

/// Elements of dx from all places of dy that show them, summed in row-major order.
template <class T>
struct UnpadElement {
  static constexpr int kDims = 8;

  UnpadElement(const Attributes& a, const TensorView& dy_, const TensorView& dx_)
      : dy(dy_.as<T>()),
        dx(dx_.as<T>()),
        mode(padding::padMode(a)),
        dims(static_cast<int>(dx_.type.shape.size())) {
    const std::vector<int64_t> pads = a.getInts("pads"), dense = denseStrides(dy_.type.shape);
    for (int d = 0; d < dims; ++d) {
      const auto at = static_cast<size_t>(d);
      within[d] = Divisor(std::max<int64_t>(1, dx_.type.shape[at]));
      padded[d] = dy_.type.shape[at];
      begins[d] = pads[at];
      strides[d] = dense[at];
    }
  }

  /// The first place behind `at` that shows element `index` of a dimension; -1: none.
  __device__ int64_t following(int d, int64_t index, int64_t at) const {
    const int64_t own = index + begins[d], end = begins[d] + within[d].by();
    for (++at; at < padded[d]; ++at) {
      if (at < begins[d] || at >= end) {
        if (padding::paddedFrom(mode, at - begins[d], within[d].by()) == index) return at;
      } else {
        if (at <= own && own < padded[d]) return own;
        at = end - 1;
      }
    }
    return -1;
  }

  __device__ void operator()(int64_t i) const {
    int64_t index[kDims] = {}, at[kDims] = {}, rest = i;
    bool shows = true;
    for (int d = dims - 1; d >= 0; --d) {
      const int64_t next = within[d].quotient(rest);
      index[d] = rest - next * within[d].by();
      at[d] = following(d, index[d], -1);
      shows = shows && at[d] >= 0;
      rest = next;
    }
    device::Compute<T> sum = 0;
    while (shows) {
      int64_t place = 0;
      for (int d = 0; d < dims; ++d) place += at[d] * strides[d];
      sum += static_cast<device::Compute<T>>(dy[place]);
      int d = dims - 1;
      for (; d >= 0; --d) {
        at[d] = following(d, index[d], at[d]);
        if (at[d] >= 0) break;
        at[d] = following(d, index[d], -1);
      }
      shows = d >= 0;
    }
    dx[i] = static_cast<T>(sum);
  }

  const T* dy;
  T* dx;
  PadMode mode;
  int dims;
  Divisor within[kDims];
  int64_t padded[kDims] = {}, begins[kDims] = {}, strides[kDims] = {};
};

void padBackward(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Attributes& a = call.op->attributes;
  if (padding::padMode(a) == PadMode::constant) {
    fillZero(context, dx);
    return copyBox(context, padding::sharedBox(a, dx.type.shape, dy.type.shape).reversed(), dy, dx);
  }
  device::withElement(*call.op, dx.type.dtype, [&](auto element) {
    forEach(context, dx.type.elements(), UnpadElement<decltype(element)>(a, dy, dx));
  });
}

bool takesPad(const KernelCall& call) {
  const TensorType &from = call.inputs[0].type, &to = call.outputs[0].type;
  if (!isConverted(from.dtype) || from.dtype != to.dtype) return false;
  return padding::padMode(call.op->attributes) == PadMode::constant ||
         from.shape.size() <= PadElement<uint8_t>::kDims;
}

template <class T>
struct Triangle {
  const T* x;
  T* y;
  Divisor columns, rows;
  bool upper;
  int64_t k;

  __device__ void operator()(int64_t i) const {
    const int64_t line = columns.quotient(i), column = i - line * columns.by();
    const int64_t row = line - rows.quotient(line) * rows.by();
    const bool keeps = upper ? column >= row + k : column <= row + k;
    y[i] = keeps ? x[i] : T{};
  }
};

void triangle(CudaContext& context, const KernelCall& call, const TensorView& x,
              const TensorView& y) {
  const Shape& shape = x.type.shape;
  const Attributes& a = call.op->attributes;
  if (x.type.elements() == 0) return;
  withBytes(x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(
        context, x.type.elements(),
        Triangle<T>{x.as<T>(), y.as<T>(), Divisor(shape.back()), Divisor(shape[shape.size() - 2]),
                    a.getInt("upper", 1) != 0, a.getInt("k", 0)});
  });
}
void triangleForward(CudaContext& context, const KernelCall& call) {
  triangle(context, call, call.inputs[0], call.outputs[0]);
}
void triangleBackward(CudaContext& context, const KernelCall& call) {
  triangle(context, call, *call.outputGradient(0), *call.inputGradient(0));
}

/// The first `lengths` steps of each sequence backwards, all where there are none; its own inverse.
template <class T>
struct Reverse {
  const T* x;
  T* y;
  device::Indices lengths;
  Divisor time, times, batch, batches;  // strides and extents

  __device__ void operator()(int64_t at) const {
    const int64_t t = rest(time.quotient(at), times), b = rest(batch.quotient(at), batches);
    const int64_t length = lengths.data ? lengths[b] : times.by();
    y[at] = x[t < length ? at + (length - 1 - 2 * t) * time.by() : at];
  }
  static MESHPLAN_INLINE int64_t rest(int64_t i, const Divisor& by) {
    return i - by.quotient(i) * by.by();
  }
};

void reverse(CudaContext& context, const KernelCall& call, const TensorView& x,
             const TensorView* lengths, const TensorView& y) {
  const Shape& shape = x.type.shape;
  const Attributes& a = call.op->attributes;
  if (x.type.elements() == 0) return;
  const size_t time = dimensionIndex(a.getInt("time_axis", 0), shape.size());
  const size_t batch = dimensionIndex(a.getInt("batch_axis", 1), shape.size());
  const std::vector<int64_t> strides = denseStrides(shape);
  const auto indices = lengths ? device::indicesOf(*call.op, *lengths) : device::Indices{};
  withBytes(x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, x.type.elements(),
            Reverse<T>{x.as<T>(), y.as<T>(), indices, Divisor(strides[time]), Divisor(shape[time]),
                       Divisor(strides[batch]), Divisor(shape[batch])});
  });
}
void reverseForward(CudaContext& context, const KernelCall& call) {
  reverse(context, call, call.inputs[0], call.inputs.size() > 1 ? &call.inputs[1] : nullptr,
          call.outputs[0]);
}
void reverseBackward(CudaContext& context, const KernelCall& call) {
  reverse(context, call, *call.outputGradient(0), call.forwardInput(1), *call.inputGradient(0));
}

bool takesWhole(const KernelCall& call) {
  const DType x = call.inputs[0].type.dtype;
  return isConverted(x) && call.outputs[0].type.dtype == x;
}

constexpr CudaKernels kKernels[] = {
    {"Slice", padding::sliceForward<CudaContext>, padding::sliceBackward<CudaContext>, false,
     takesWhole},
    {"Pad", padForward, padBackward, false, takesPad},
    {"Trilu", triangleForward, triangleBackward, false, takesWhole},
    {"ReverseSequence", reverseForward, reverseBackward, false, takesWhole},
};

}  // namespace

std::span<const CudaKernels> cudaPaddingKernels() {
  return kKernels;
}

}  // namespace meshplan
