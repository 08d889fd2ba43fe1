// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/patch_convolution.cpp.
// Bound by memory: the patches are written, or read, once.
#include "backend/cuda/patches.h"

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::Compute;

/// A geometry of exactly 3 dimensions, the first ones of extent 1 where it has fewer.
struct Window {
  int64_t in[kPatchDims], out[kPatchDims], kernel[kPatchDims], strides[kPatchDims],
      dilations[kPatchDims], before[kPatchDims];
  int64_t inElements, outElements, kernelElements;

  explicit Window(const WindowGeometry& g)
      : inElements(g.inElements()),
        outElements(g.outElements()),
        kernelElements(g.kernelElements()) {
    if (g.in.size() > kPatchDims)
      throw Error(ErrorKind::runtime, "the GPU convolves over 3 dimensions at most");
    const size_t missing = kPatchDims - g.in.size();
    for (size_t d = 0; d < kPatchDims; ++d) {
      const bool there = d >= missing;
      const size_t from = there ? d - missing : 0;
      in[d] = there ? g.in[from] : 1;
      out[d] = there ? g.out[from] : 1;
      kernel[d] = there ? g.kernel[from] : 1;
      strides[d] = there ? g.strides[from] : 1;
      dilations[d] = there ? g.dilations[from] : 1;
      before[d] = there ? g.before[from] : 0;
    }
  }

  /// Where element k of the kernel reads for an output position, -1 for padding.
  __device__ int64_t inputOf(int64_t k, int64_t position) const {
    int64_t at = 0, scale = 1;
    for (int d = kPatchDims; d-- > 0; k /= kernel[d], position /= out[d]) {
      const int64_t i = position % out[d] * strides[d] + k % kernel[d] * dilations[d] - before[d];
      if (i < 0 || i >= in[d]) return -1;
      at += i * scale;
      scale *= in[d];
    }
    return at;
  }

  /// Which output position reads an input with element k, -1 for none.
  __device__ int64_t outputOf(int64_t k, int64_t input) const {
    int64_t at = 0, scale = 1;
    for (int d = kPatchDims; d-- > 0; k /= kernel[d], input /= in[d]) {
      const int64_t o = input % in[d] + before[d] - k % kernel[d] * dilations[d];
      if (o < 0 || o % strides[d] != 0 || o / strides[d] >= out[d]) return -1;
      at += o / strides[d] * scale;
      scale *= out[d];
    }
    return at;
  }
};

template <class T>
struct Load {
  Window window;
  int64_t channels, imageStride, rowStride;
  const T* from;
  T* to;

  __device__ void operator()(int64_t i) const {
    const int64_t position = i % window.outElements;
    const int64_t row = i / window.outElements % (channels * window.kernelElements);
    const int64_t image = i / window.outElements / (channels * window.kernelElements);
    const int64_t channel = row / window.kernelElements;
    const int64_t at = window.inputOf(row % window.kernelElements, position);
    to[image * imageStride + row * rowStride + position] =
        at < 0 ? T(Compute<T>(0)) : from[(image * channels + channel) * window.inElements + at];
  }
};

template <class P, class T>
struct Sum {
  Window window;
  int64_t channels, imageStride, rowStride;
  const P* from;
  T* to;

  __device__ void operator()(int64_t i) const {
    const int64_t input = i % window.inElements, channel = i / window.inElements % channels;
    const int64_t image = i / window.inElements / channels;
    const P* const rows = from + image * imageStride + channel * window.kernelElements * rowStride;
    P sum = 0;
    for (int64_t k = 0; k < window.kernelElements; ++k) {
      const int64_t position = window.outputOf(k, input);
      if (position >= 0) sum += rows[k * rowStride + position];
    }
    to[i] = T(static_cast<Compute<T>>(sum));
  }
};

template <class F>
void withType(DType type, F f) {
  if (type == DType::f64) return f(double{});
  if (type == DType::bf16) return f(BFloat16{});
  if (type == DType::f16) return f(Half{});
  f(float{});
}

}  // namespace

void loadPatches(CudaContext& context, const WindowGeometry& g, int64_t images, int64_t channels,
                 const TensorView& from, const Patches& patches) {
  const Window window(g);
  const int64_t count = images * channels * window.kernelElements * window.outElements;
  withType(patches.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, count,
            Load<T>{window, channels, patches.imageStride, patches.rowStride, from.as<T>(),
                    static_cast<T*>(patches.data)});
  });
}

void sumPatches(CudaContext& context, const WindowGeometry& g, int64_t images, int64_t channels,
                const Patches& patches, const TensorView& to) {
  const Window window(g);
  withType(to.type.dtype, [&](auto element) {
    using T = decltype(element);
    using P = Compute<T>;
    forEach(context, images * channels * window.inElements,
            Sum<P, T>{window, channels, patches.imageStride, patches.rowStride,
                      static_cast<const P*>(patches.data), to.as<T>()});
  });
}

}  // namespace meshplan
