// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/pooling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

/// The positions of one dimension that each window reads: `count` from `first` on, `step` apart.
struct Span {
  int64_t first, count, step;
  int64_t padded;  // positions including padding that count in an average
};

struct Pooling {
  Shape in, out;
  std::vector<std::vector<Span>> spans;  // per dimension and output position
  int64_t planes = 1;

  Pooling(const KernelCall& call, const Shape& x, const Shape& y)
      : in(spatialExtents(x)), out(spatialExtents(y)), planes(x[0] * x[1]) {
    const Attributes& attributes = call.op->attributes;
    const Window window(attributes, attributes.getInts("kernel_shape"));
    const Padding padding = window.padding(in, out);
    for (size_t d = 0; d < in.size(); ++d) {
      std::vector<Span>& list = spans.emplace_back();
      const int64_t kernel = window.kernel()[d], step = window.dilations()[d];
      for (int64_t o = 0; o < out[d]; ++o) {
        const int64_t start = o * window.strides()[d] - padding.before[d];
        const int64_t skipped = start < 0 ? ceilDiv(-start, step) : 0;
        const auto until = [&](int64_t end) {  // elements of the window before `end`
          return end <= start ? 0 : std::min(kernel, ceilDiv(end - start, step));
        };
        list.push_back({start + skipped * step, std::max<int64_t>(until(in[d]) - skipped, 0), step,
                        until(in[d] + padding.after[d])});
      }
    }
  }

  int64_t inElements() const { return elementCount(in); }
  int64_t outElements() const { return elementCount(out); }

  /// Calls f(output position, element of the window, ...) as visit(input position) for every
  /// element that a window reads; `begin` and `end` frame each output position.
  template <class Begin, class Visit, class End>
  void forWindows(Begin begin, Visit visit, End end) const {
    const size_t dims = in.size();
    std::vector<const Span*> window(dims);
    for (int64_t o = 0; o < outElements(); ++o) {
      int64_t rest = o;
      for (size_t d = dims; d-- > 0; rest /= out[d])
        window[d] = &spans[d][static_cast<size_t>(rest % out[d])];
      begin(o, window);
      walk(window, 0, 0, visit);
      end(o);
    }
  }

  template <class F>
  void forPlanes(const CpuContext& context, F f) const {
    parallelRanges(context, planes, inElements() * 4, [&](int64_t first, int64_t last) {
      for (int64_t p = first; p < last; ++p) f(p);
    });
  }

 private:
  template <class Visit>
  void walk(const std::vector<const Span*>& window, size_t d, int64_t position,
            const Visit& visit) const {
    const Span& s = *window[d];
    position = position * in[d] + s.first;
    for (int64_t i = 0; i < s.count; ++i, position += s.step)
      if (d + 1 == window.size())
        visit(position);
      else
        walk(window, d + 1, position, visit);
  }
};

/// How many elements an average divides by.
int64_t averaged(const std::vector<const Span*>& window, bool countsPadding) {
  int64_t count = 1;
  for (const Span* s : window) count *= countsPadding ? s->padded : s->count;
  return std::max<int64_t>(count, 1);
}

void averagePool(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Pooling pool(call, x.type.shape, y.type.shape);
  const bool padding = call.op->attributes.getInt("count_include_pad", 0) != 0;
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    using W = Wide<T>;
    pool.forPlanes(context, [&](int64_t p) {
      const T* const from = x.as<T>() + p * pool.inElements();
      W sum = 0;
      int64_t count = 1;
      pool.forWindows(
          [&](int64_t, const auto& window) { sum = 0, count = averaged(window, padding); },
          [&](int64_t i) { sum += static_cast<W>(from[i]); },
          [&](int64_t o) {
            y.as<T>()[p * pool.outElements() + o] = T(sum / static_cast<W>(count));
          });
    });
  });
}

void averagePoolGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Pooling pool(call, dx.type.shape, dy.type.shape);
  const bool padding = call.op->attributes.getInt("count_include_pad", 0) != 0;
  forElementType(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    using W = Wide<T>;
    pool.forPlanes(context, [&](int64_t p) {
      std::vector<W> sums(static_cast<size_t>(pool.inElements()));
      W share = 0;
      pool.forWindows(
          [&](int64_t o, const auto& window) {
            share = static_cast<W>(dy.as<T>()[p * pool.outElements() + o]) /
                    static_cast<W>(averaged(window, padding));
          },
          [&](int64_t i) { sums[static_cast<size_t>(i)] += share; }, [](int64_t) {});
      for (size_t i = 0; i < sums.size(); ++i)
        dx.as<T>()[static_cast<size_t>(p * pool.inElements()) + i] = T(sums[i]);
    });
  });
}

void lpPool(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Pooling pool(call, x.type.shape, y.type.shape);
  const double order = normOrder(call);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    pool.forPlanes(context, [&](int64_t p) {
      const T* const from = x.as<T>() + p * pool.inElements();
      double sum = 0;
      pool.forWindows(
          [&](int64_t, const auto&) { sum = 0; },
          [&](int64_t i) { sum += std::pow(std::abs(static_cast<double>(from[i])), order); },
          [&](int64_t o) {
            y.as<T>()[p * pool.outElements() + o] =
                T(static_cast<Wide<T>>(std::pow(sum, 1 / order)));
          });
    });
  });
}

void lpPoolGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &y = *call.forwardOutput(0);
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Pooling pool(call, x.type.shape, y.type.shape);
  const double order = normOrder(call);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    pool.forPlanes(context, [&](int64_t p) {
      const T* const from = x.as<T>() + p * pool.inElements();
      std::vector<double> sums(static_cast<size_t>(pool.inElements()));
      double norm = 0, g = 0;
      pool.forWindows(
          [&](int64_t o, const auto&) {
            norm = static_cast<double>(y.as<T>()[p * pool.outElements() + o]);
            g = static_cast<double>(dy.as<T>()[p * pool.outElements() + o]);
          },
          [&](int64_t i) {
            sums[static_cast<size_t>(i)] +=
                g * normSlope(static_cast<double>(from[i]), norm, order);
          },
          [](int64_t) {});
      for (size_t i = 0; i < sums.size(); ++i)
        dx.as<T>()[static_cast<size_t>(p * pool.inElements()) + i] =
            T(static_cast<Wide<T>>(sums[i]));
    });
  });
}

constexpr std::array<CpuKernels, 6> kKernels{{
    {"MaxPool", maxPool, maxPoolGradient},
    {"AveragePool", averagePool, averagePoolGradient},
    {"LpPool", lpPool, lpPoolGradient},
    {"GlobalAveragePool", globalAverage, globalAverageGradient},
    {"GlobalMaxPool", globalMax, globalMaxGradient},
    {"GlobalLpPool", globalLp, globalLpGradient},
}};

}  // namespace

double normOrder(const KernelCall& call) {
  return static_cast<double>(call.op->attributes.getInt("p", 2));
}

double normSlope(double x, double y, double p) {
  if (y == 0 || x == 0) return 0;
  return (x < 0 ? -1 : 1) * std::pow(std::abs(x) / y, p - 1);
}

std::span<const CpuKernels> poolingKernels() {
  return kKernels;
}

}  // namespace meshplan
