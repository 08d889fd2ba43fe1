// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/convolution.h"

#include <algorithm>
#include <array>

#include "backend/cpu/convolution_gradient.h"
#include "backend/cpu/element.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product.h"
#include "backend/cpu/simd.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

/// From this many positions on, products in place beat oneDNN's blocked layouts with the
/// reordering that they cost (measured on ResNet-50's layers, AVX-512).
constexpr int64_t kProductPositions = 784;

/// Pointwise convolutions of one group are products over channels, in place.
void convolvePointwise(CpuContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                       const ConvolutionData& d) {
  const int64_t n = g.inElements();
  const Matrices w = rowMajor(d.w, g.channels), x = rowMajor(d.x, n, g.channels * n);
  const Matrices y = rowMajor(d.y, n, g.filters * n);
  for (int64_t i = 0; i < g.batch; ++i) {
    const Matrices xi = x.from(i * x.batch), yi = y.from(i * y.batch);
    if (pass == ConvolutionPass::output)
      multiply(context, {g.filters, n, g.channels}, w, xi, yi);
    else if (pass == ConvolutionPass::input)
      multiply(context, {g.channels, n, g.filters}, w.transposed(), yi, xi);
    else
      multiply(context, {g.filters, g.channels, n}, yi, xi.transposed(), w,
               {.accumulate = d.accumulate || i > 0});
  }
}

void convolve(CpuContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
              const ConvolutionData& d) {
  if (g.isPointwise() && g.groups == 1 && !d.bias && g.inElements() >= kProductPositions)
    return convolvePointwise(context, g, pass, d);
  if (!convolveDnnl(context, g, pass, d)) convolvePatches(context, g, pass, d);
}

template <class T>
MESHPLAN_SIMD double sumOf(const T* x, int64_t n) {
  Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<Wide<T>>(x[i]);
  return static_cast<double>(sum);
}

/// (+)= the sums over batch and positions of each channel.
void sumChannels(CpuContext& context, const KernelCall& call, const TensorView& dy,
                 const TensorView& sums, bool accumulate) {
  const int64_t channels = dy.type.shape[1], n = elementCount(spatialExtents(dy.type.shape));
  forElementType(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    forElementType(*call.op, sums.type.dtype, [&](auto sumElement) {
      using S = decltype(sumElement);
      parallelRanges(context, channels, dy.type.shape[0] * n, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c) {
          S& to = sums.as<S>()[c];
          double sum = accumulate ? static_cast<double>(to) : 0;
          for (int64_t b = 0; b < dy.type.shape[0]; ++b)
            sum += sumOf(dy.as<T>() + (b * channels + c) * n, n);
          to = S(static_cast<Wide<S>>(sum));
        }
      });
    });
  });
}

/// y += bias of each channel.
void addChannels(CpuContext& context, const KernelCall& call, const TensorView& bias,
                 const TensorView& y) {
  const int64_t channels = y.type.shape[1], n = elementCount(spatialExtents(y.type.shape));
  forElementType(*call.op, y.type.dtype, [&](auto element) {
    using T = decltype(element);
    parallelRanges(context, y.type.shape[0] * channels, n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto add = static_cast<Wide<T>>(bias.as<T>()[i % channels]);
        T* const row = y.as<T>() + i * n;
        for (int64_t j = 0; j < n; ++j) row[j] = T(static_cast<Wide<T>>(row[j]) + add);
      }
    });
  });
}

const TensorView* biasOf(const KernelCall& call) {
  return call.inputs.size() == 3 && addsBias(call) ? &call.inputs[2] : nullptr;
}

void convolution(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &w = call.inputs[1], &y = call.outputs[0];
  const ConvolutionGeometry g = geometryOf(call.op->attributes, x.type, w.type, y.type);
  convolve(context, g, ConvolutionPass::output, {x, w, y, biasOf(call)});
}

void transposedConvolution(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &w = call.inputs[1], &y = call.outputs[0];
  const ConvolutionGeometry g = transposedGeometryOf(call.op->attributes, x.type, w.type, y.type);
  convolve(context, g, ConvolutionPass::input, {y, w, x});
  if (const TensorView* bias = biasOf(call)) addChannels(context, call, *bias, y);
}

void gradient(CpuContext& context, const KernelCall& call, bool transposed) {
  convolutionGradient(
      call, transposed,
      [&](const ConvolutionGeometry& g, ConvolutionPass pass, const ConvolutionData& data) {
        convolve(context, g, pass, data);
      },
      [&](const TensorView& dy, const TensorView& db, bool accumulate) {
        sumChannels(context, call, dy, db, accumulate);
      });
}

/// Gradients of the weights are added in place, others beside.
template <bool transposed>
void gradient(CpuContext& context, const KernelCall& call) {
  size_t at = 0;
  if (call.inputGradient(0, &at) && call.accumulates(at))
    return runBeside(context, call, gradient<transposed>);
  gradient(context, call, transposed);
}

constexpr std::array<CpuKernels, 2> kKernels{{
    {"Conv", convolution, gradient<false>, true},
    {"ConvTranspose", transposedConvolution, gradient<true>, true},
}};

}  // namespace

ConvolutionGeometry geometryOf(const Attributes& attributes, const TensorType& x,
                               const TensorType& w, const TensorType& y) {
  const Window window(attributes, spatialExtents(w.shape));
  ConvolutionGeometry g;
  g.batch = x.shape[0];
  g.channels = w.shape[1];
  g.groups = g.channels == 0 ? 1 : std::max<int64_t>(x.shape[1] / g.channels, 1);
  g.filters = w.shape[0] / g.groups;
  g.in = spatialExtents(x.shape);
  g.out = spatialExtents(y.shape);
  g.kernel = window.kernel();
  g.strides = window.strides();
  g.dilations = window.dilations();
  g.before = window.padding(g.in, g.out).before;
  return g;
}

ConvolutionGeometry transposedGeometryOf(const Attributes& attributes, const TensorType& x,
                                         const TensorType& w, const TensorType& y) {
  const Window window(attributes, spatialExtents(w.shape));
  ConvolutionGeometry g;
  g.batch = x.shape[0];
  g.channels = w.shape[1];
  g.groups = g.channels == 0 ? 1 : std::max<int64_t>(y.shape[1] / g.channels, 1);
  g.filters = w.shape[0] / g.groups;
  g.in = spatialExtents(y.shape);
  g.out = spatialExtents(x.shape);
  g.kernel = window.kernel();
  g.strides = window.strides();
  g.dilations = window.dilations();
  g.before = window.spreadPadding(attributes, g.out, g.in).before;
  return g;
}

bool ConvolutionGeometry::isPointwise() const {
  const auto all = [](const Shape& s, int64_t v) {
    return std::all_of(s.begin(), s.end(), [v](int64_t e) { return e == v; });
  };
  return all(kernel, 1) && all(strides, 1) && all(before, 0) && in == out;
}

std::span<const CpuKernels> convolutionKernels() {
  return kKernels;
}

}  // namespace meshplan
