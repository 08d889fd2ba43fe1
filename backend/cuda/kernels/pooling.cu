// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/pooling.cpp, max_pooling.cpp, global_pooling.cpp.
// Bound by bandwidth as long as the caches hold the lines that neighbouring windows share.
// Gradients are gathered: an element of the input adds what the windows over it send, in their
// order.
#include "backend/cpu/axis_ranges.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/kernels/rows.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kInfinity;

constexpr int kMostDims = 3;

/// Windows over one plane; unused dimensions, at the front, have extent 1.
struct Windows {
  int in[kMostDims], out[kMostDims], kernel[kMostDims], stride[kMostDims], dilation[kMostDims];
  int before[kMostDims], after[kMostDims];
  int inElements, outElements;

  __device__ void split(int index, const int* extents, int (&at)[kMostDims]) const {
    for (int d = kMostDims; d-- > 0; index /= extents[d]) at[d] = index % extents[d];
  }

  /// Calls f(input position) for every element that the window of an output reads.
  template <class F>
  __device__ void forWindow(int output, F f) const {
    int o[kMostDims];
    split(output, out, o);
    int start[kMostDims];
    for (int d = 0; d < kMostDims; ++d) start[d] = o[d] * stride[d] - before[d];
    for (int a = 0; a < kernel[0]; ++a) {
      const int z = start[0] + a * dilation[0];
      if (z < 0 || z >= in[0]) continue;
      for (int b = 0; b < kernel[1]; ++b) {
        const int y = start[1] + b * dilation[1];
        if (y < 0 || y >= in[1]) continue;
        for (int c = 0; c < kernel[2]; ++c) {
          const int x = start[2] + c * dilation[2];
          if (x >= 0 && x < in[2]) f((z * in[1] + y) * in[2] + x);
        }
      }
    }
  }

  struct Range {
    int first, last;
  };
  /// The outputs of one dimension whose windows reach an input, those that skip it included.
  __device__ Range over(int d, int at) const {
    const int reach = (kernel[d] - 1) * dilation[d], low = at + before[d] - reach;
    const int first = low <= 0 ? 0 : (low + stride[d] - 1) / stride[d];
    const int last = (at + before[d]) / stride[d];
    return {first, last < out[d] ? last : out[d] - 1};
  }
  __device__ bool reads(int d, int output, int at) const {
    return (at + before[d] - output * stride[d]) % dilation[d] == 0;
  }

  /// Calls f(output) for every window that reads an element, in their order.
  template <class F>
  __device__ void forReaders(int input, F f) const {
    int i[kMostDims];
    split(input, in, i);
    const Range zs = over(0, i[0]), ys = over(1, i[1]), xs = over(2, i[2]);
    for (int z = zs.first; z <= zs.last; ++z) {
      if (!reads(0, z, i[0])) continue;
      for (int y = ys.first; y <= ys.last; ++y) {
        if (!reads(1, y, i[1])) continue;
        for (int x = xs.first; x <= xs.last; ++x)
          if (reads(2, x, i[2])) f((z * out[1] + y) * out[2] + x);
      }
    }
  }

  /// How many elements an average divides by.
  __device__ int averaged(int output, bool countsPadding) const {
    int o[kMostDims], count = 1;
    split(output, out, o);
    for (int d = 0; d < kMostDims; ++d) {
      const int start = o[d] * stride[d] - before[d];
      int own = 0;
      for (int k = 0; k < kernel[d]; ++k) {
        const int at = start + k * dilation[d];
        own += countsPadding ? at < in[d] + after[d] : at >= 0 && at < in[d];
      }
      count *= own;
    }
    return count > 1 ? count : 1;
  }
};

/// The largest element of a window, the earlier of equals and the first NaN, and its position, -1
/// where a window reads nothing.
template <class T>
struct Largest {
  Compute<T> value = -kInfinity<Compute<T>>;
  int where = -1;

  __device__ Largest(const Windows& windows, const T* x, int output) {
    windows.forWindow(output, [&](int at) {
      const auto v = Compute<T>(x[at]);
      if (v > value || (v != v && value == value) || where < 0) {
        value = v;
        where = at;
      }
    });
  }
};

/// Where planes lie in the whole tensor.
struct Planes {
  int64_t channels, firstSample, wholeChannels, firstChannel;

  __device__ int64_t of(int64_t plane) const {
    return (firstSample + plane / channels) * wholeChannels + firstChannel + plane % channels;
  }
};

template <class T>
struct MaxPool {
  Windows windows;
  Planes planes;
  const T* x;
  T* y;
  int64_t* indices;  // may be null

  __device__ void operator()(int64_t i) const {
    const int64_t plane = i / windows.outElements;
    const Largest<T> largest(windows, x + plane * windows.inElements,
                             static_cast<int>(i % windows.outElements));
    y[i] = T(largest.value);
    if (indices) indices[i] = planes.of(plane) * windows.inElements + largest.where;
  }
};

template <class T>
struct FindLargest {
  Windows windows;
  const T* x;
  int* where;

  __device__ void operator()(int64_t i) const {
    where[i] = Largest<T>(windows, x + i / windows.outElements * windows.inElements,
                          static_cast<int>(i % windows.outElements))
                   .where;
  }
};

template <class T>
struct MaxPoolGradient {
  Windows windows;
  const int* where;
  const T* dy;
  T* dx;

  __device__ void operator()(int64_t i) const {
    const int64_t first = i / windows.inElements * windows.outElements;
    const int own = static_cast<int>(i % windows.inElements);
    Compute<T> sum = 0;
    windows.forReaders(own, [&](int output) {
      if (where[first + output] == own) sum += Compute<T>(dy[first + output]);
    });
    dx[i] = T(sum);
  }
};

template <class T>
struct AveragePool {
  Windows windows;
  bool countsPadding;
  const T* x;
  T* y;

  __device__ void operator()(int64_t i) const {
    const T* from = x + i / windows.outElements * windows.inElements;
    const int output = static_cast<int>(i % windows.outElements);
    Compute<T> sum = 0;
    windows.forWindow(output, [&](int at) { sum += Compute<T>(from[at]); });
    y[i] = T(sum / static_cast<Compute<T>>(windows.averaged(output, countsPadding)));
  }
};

template <class T>
struct AveragePoolGradient {
  Windows windows;
  bool countsPadding;
  const T* dy;
  T* dx;

  __device__ void operator()(int64_t i) const {
    const int64_t first = i / windows.inElements * windows.outElements;
    Compute<T> sum = 0;
    windows.forReaders(static_cast<int>(i % windows.inElements), [&](int output) {
      sum += Compute<T>(dy[first + output]) /
             static_cast<Compute<T>>(windows.averaged(output, countsPadding));
    });
    dx[i] = T(sum);
  }
};

/// One warp per plane.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    globalAverageKernel(int64_t planes, int64_t elements, double whole, const T* __restrict__ x,
                        T* __restrict__ y) {
  const int64_t plane = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) / device::kWarp;
  if (plane >= planes) return;
  const int64_t lane = threadIdx.x % device::kWarp;
  Compute<T> sum = 0;
  for (int64_t i = lane; i < elements; i += device::kWarp)
    sum += Compute<T>(x[plane * elements + i]);
  sum = device::warpReduce(sum, device::Plus{});
  if (lane == 0) y[plane] = T(sum / static_cast<Compute<T>>(whole));
}

template <class T>
struct SpreadAverage {
  int64_t elements;
  Compute<T> whole;
  const T* dy;
  T* dx;

  __device__ void operator()(int64_t i) const { dx[i] = T(Compute<T>(dy[i / elements]) / whole); }
};

Windows windowsOf(const KernelCall& call, const Shape& x, const Shape& y) {
  const Attributes& attributes = call.op->attributes;
  const Window window(attributes, attributes.getInts("kernel_shape"));
  const Shape in = spatialExtents(x), out = spatialExtents(y);
  const Padding padding = window.padding(in, out);
  Windows w;
  for (size_t d = 0; d < kMostDims; ++d) {
    const size_t front = kMostDims - in.size();
    const bool used = d >= front;
    const auto of = [&](const Shape& values, int64_t otherwise) {
      return static_cast<int>(used ? values[d - front] : otherwise);
    };
    w.in[d] = of(in, 1);
    w.out[d] = of(out, 1);
    w.kernel[d] = of(window.kernel(), 1);
    w.stride[d] = of(window.strides(), 1);
    w.dilation[d] = of(window.dilations(), 1);
    w.before[d] = of(padding.before, 0);
    w.after[d] = of(padding.after, 0);
  }
  w.inElements = static_cast<int>(elementCount(in));
  w.outElements = static_cast<int>(elementCount(out));
  return w;
}

void maxPool(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Shape& shape = x.type.shape;
  const AxisRange batch = rangeOf(call, 0, shape[0]), channels = rangeOf(call, 1, shape[1]);
  const Windows windows = windowsOf(call, shape, y.type.shape);
  int64_t* const indices = call.outputs.size() > 1 ? call.outputs[1].as<int64_t>() : nullptr;
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, y.type.elements(),
            MaxPool<T>{windows,
                       {shape[1], batch.begin, channels.whole, channels.begin},
                       x.as<T>(),
                       static_cast<T*>(y.data),
                       indices});
  });
}

void maxPoolGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &dy = *call.outputGradient(0);
  const TensorView& dx = *call.inputGradient(0);
  const Windows windows = windowsOf(call, x.type.shape, dy.type.shape);
  const int64_t outputs = dy.type.elements();
  auto* where = static_cast<int*>(context.scratch(outputs * int64_t{sizeof(int)}));
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, outputs, FindLargest<T>{windows, x.as<T>(), where});
    forEach(context, x.type.elements(),
            MaxPoolGradient<T>{windows, where, dy.as<T>(), static_cast<T*>(dx.data)});
  });
}

bool countsPadding(const KernelCall& call) {
  return call.op->attributes.getInt("count_include_pad", 0) != 0;
}

void averagePool(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Windows windows = windowsOf(call, x.type.shape, y.type.shape);
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, y.type.elements(),
            AveragePool<T>{windows, countsPadding(call), x.as<T>(), static_cast<T*>(y.data)});
  });
}

void averagePoolGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Windows windows = windowsOf(call, dx.type.shape, dy.type.shape);
  device::withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(
        context, dx.type.elements(),
        AveragePoolGradient<T>{windows, countsPadding(call), dy.as<T>(), static_cast<T*>(dx.data)});
  });
}

double wholeElements(const KernelCall& call, const Shape& x) {
  double whole = 1;
  for (size_t d = 2; d < x.size(); ++d) whole *= static_cast<double>(rangeOf(call, d, x[d]).whole);
  return whole;
}

void globalAverage(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t planes = x.type.shape[0] * x.type.shape[1];
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    launch(context, ceilDiv(planes, kThreadsPerBlock / device::kWarp), kThreadsPerBlock, 0,
           globalAverageKernel<T>, planes, elementCount(spatialExtents(x.type.shape)),
           wholeElements(call, x.type.shape), x.as<T>(), static_cast<T*>(y.data));
  });
}

void globalAverageGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  device::withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, dx.type.elements(),
            SpreadAverage<T>{elementCount(spatialExtents(dx.type.shape)),
                             static_cast<Compute<T>>(wholeElements(call, dx.type.shape)),
                             dy.as<T>(), static_cast<T*>(dx.data)});
  });
}

/// Up to three spatial dimensions of fewer than 2^31 elements.
bool takes(const KernelCall& call) {
  const auto fits = [](const TensorView& v) {
    const Shape spatial = spatialExtents(v.type.shape);
    return spatial.size() <= kMostDims && elementCount(spatial) < int64_t{1} << 30;
  };
  for (const TensorView& v : call.inputs)
    if (!fits(v)) return false;
  return fits(call.outputs[0]);
}

constexpr CudaKernels kKernels[] = {
    {"MaxPool", maxPool, maxPoolGradient, false, takes},
    {"AveragePool", averagePool, averagePoolGradient, false, takes},
    {"GlobalAveragePool", globalAverage, globalAverageGradient},
};

}  // namespace

std::span<const CudaKernels> cudaPoolingKernels() {
  return kKernels;
}

}  // namespace meshplan
