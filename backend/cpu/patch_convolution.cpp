// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "backend/cpu/convolution.h"
#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product.h"

namespace meshplan {
namespace {

template <class W>
constexpr DType kTypeOf = std::is_same_v<W, double> ? DType::f64 : DType::f32;

/// Patches [channels * kernel, out] of one image and group, and back.
template <class T>
class Patches {
 public:
  using W = Wide<T>;

  Patches(CpuContext& context, const ConvolutionGeometry& g)
      : context_(context), g_(g), values_(static_cast<size_t>(rows() * g.outElements())) {}

  int64_t rows() const { return g_.channels * g_.kernelElements(); }
  Matrices matrix() { return {values_.data(), kTypeOf<W>, g_.outElements(), 1}; }

  void load(const T* image) {
    forChannels([&](int64_t c, int64_t k, W* to) {
      std::fill_n(to, g_.outElements(), W(0));
      const T* const from = image + c * g_.inElements();
      forRuns(g_, k, [&](int64_t in, int64_t out, int64_t count, int64_t step) {
        for (int64_t i = 0; i < count; ++i) to[out + i] = static_cast<W>(from[in + i * step]);
      });
    });
  }

  void store(T* image) {
    parallelRanges(context_, g_.channels, g_.kernelElements() * g_.outElements(),
                   [&](int64_t begin, int64_t end) {
                     std::vector<W> sums(static_cast<size_t>(g_.inElements()));
                     for (int64_t c = begin; c < end; ++c) storeChannel(c, sums, image);
                   });
  }

 private:
  template <class F>
  void forChannels(F f) {
    const int64_t kernel = g_.kernelElements();
    parallelRanges(context_, rows(), g_.outElements(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        f(i / kernel, i % kernel, values_.data() + i * g_.outElements());
    });
  }

  void storeChannel(int64_t c, std::vector<W>& sums, T* image) {
    std::fill(sums.begin(), sums.end(), W(0));
    for (int64_t k = 0; k < g_.kernelElements(); ++k) {
      const W* const from = values_.data() + (c * g_.kernelElements() + k) * g_.outElements();
      forRuns(g_, k, [&](int64_t in, int64_t out, int64_t count, int64_t step) {
        for (int64_t i = 0; i < count; ++i)
          sums[static_cast<size_t>(in + i * step)] += from[out + i];
      });
    }
    for (size_t i = 0; i < sums.size(); ++i)
      image[static_cast<size_t>(c * g_.inElements()) + i] = T(sums[i]);
  }

  CpuContext& context_;
  const ConvolutionGeometry& g_;
  std::vector<W> values_;
};

/// A tensor as W: in place, or a copy that `store` writes back.
template <class T>
class WideTensor {
 public:
  using W = Wide<T>;

  WideTensor(const TensorView& view, bool load) : view_(view) {
    if constexpr (std::is_same_v<W, T>) return;
    copy_.resize(static_cast<size_t>(view.type.elements()));
    for (size_t i = 0; load && i < copy_.size(); ++i) copy_[i] = static_cast<W>(view.as<T>()[i]);
  }

  W* data() {
    if constexpr (std::is_same_v<W, T>)
      return view_.as<W>();
    else
      return copy_.data();
  }
  Matrices matrix(int64_t columns, int64_t from) { return {data() + from, kTypeOf<W>, columns, 1}; }
  void store() {
    for (size_t i = 0; i < copy_.size(); ++i) view_.as<T>()[i] = T(copy_[i]);
  }

 private:
  TensorView view_;
  std::vector<W> copy_;
};

template <class T>
void fillBias(const ConvolutionGeometry& g, const TensorView& bias, WideTensor<T>& y) {
  const int64_t channels = g.groups * g.filters;
  for (int64_t i = 0; i < g.batch * channels; ++i)
    std::fill_n(y.data() + i * g.outElements(), g.outElements(),
                static_cast<Wide<T>>(bias.as<T>()[i % channels]));
}

/// T: of x and y; S: of the weights.
template <class T, class S>
void convolve(CpuContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
              const ConvolutionData& d) {
  Patches<T> patches(context, g);
  const bool makesWeights = pass == ConvolutionPass::weights;
  WideTensor<S> w(d.w, !makesWeights || d.accumulate);
  WideTensor<T> y(d.y, pass != ConvolutionPass::output);
  if (d.bias) fillBias(g, *d.bias, y);
  const int64_t n = g.outElements(), rows = patches.rows();
  for (int64_t i = 0; i < g.batch * g.groups; ++i) {
    T* const image = d.x.as<T>() + i * g.channels * g.inElements();
    const Matrices weights = w.matrix(rows, i % g.groups * g.filters * rows);
    const Matrices result = y.matrix(n, i * g.filters * n);
    if (pass != ConvolutionPass::input) patches.load(image);
    if (pass == ConvolutionPass::output) {
      multiply(context, {g.filters, n, rows}, weights, patches.matrix(), result,
               {.accumulate = d.bias != nullptr});
    } else if (pass == ConvolutionPass::input) {
      multiply(context, {rows, n, g.filters}, weights.transposed(), result, patches.matrix());
      patches.store(image);
    } else {
      multiply(context, {g.filters, rows, n}, result, patches.matrix().transposed(), weights,
               {.accumulate = d.accumulate || i >= g.groups});
    }
  }
  if (makesWeights) w.store();
  if (pass == ConvolutionPass::output) y.store();
}

}  // namespace

void convolvePatches(CpuContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                     const ConvolutionData& d) {
  if (d.x.type.dtype == DType::f64) return convolve<double, double>(context, g, pass, d);
  if (d.x.type.dtype == DType::f32) return convolve<float, float>(context, g, pass, d);
  if (d.w.type.dtype == DType::f32) return convolve<BFloat16, float>(context, g, pass, d);
  convolve<BFloat16, BFloat16>(context, g, pass, d);
}

}  // namespace meshplan
