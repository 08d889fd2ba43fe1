// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
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

/// Calls f(first element of the plane, position of the first largest element) for every output.
template <class T, class F>
void forMaxima(const Pooling& pool, const T* x, F f) {
  using W = Wide<T>;
  W most = 0;
  int64_t where = -1;
  pool.forWindows(
      [&](int64_t, const auto&) {
        most = -std::numeric_limits<W>::infinity();
        where = -1;
      },
      [&](int64_t i) {
        const W v = static_cast<W>(x[i]);
        if (where >= 0 && !(v > most) && v == v) return;
        most = v;
        where = i;
      },
      [&](int64_t o) { f(o, where, most); });
}

AxisRange rangeOf(const KernelCall& call, size_t axis, int64_t extent) {
  return axis < call.axes.size() ? call.axes[axis] : AxisRange{0, extent, extent};
}

void maxPool(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Pooling pool(call, x.type.shape, y.type.shape);
  const int64_t channels = x.type.shape[1], in = pool.inElements(), out = pool.outElements();
  const AxisRange batch = rangeOf(call, 0, x.type.shape[0]), all = rangeOf(call, 1, channels);
  int64_t* const indices = call.outputs.size() > 1 ? call.outputs[1].as<int64_t>() : nullptr;
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    pool.forPlanes(context, [&](int64_t p) {
      const int64_t place = (batch.begin + p / channels) * all.whole + all.begin + p % channels;
      forMaxima(pool, x.as<T>() + p * in, [&](int64_t o, int64_t where, Wide<T> most) {
        y.as<T>()[p * out + o] = T(most);
        if (indices) indices[p * out + o] = place * in + where;
      });
    });
  });
}

void maxPoolGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &dy = *call.outputGradient(0);
  const TensorView& dx = *call.inputGradient(0);
  const Pooling pool(call, x.type.shape, dy.type.shape);
  const int64_t in = pool.inElements(), out = pool.outElements();
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    pool.forPlanes(context, [&](int64_t p) {
      std::vector<Wide<T>> sums(static_cast<size_t>(in));
      forMaxima(pool, x.as<T>() + p * in, [&](int64_t o, int64_t where, Wide<T>) {
        if (where >= 0)
          sums[static_cast<size_t>(where)] += static_cast<Wide<T>>(dy.as<T>()[p * out + o]);
      });
      for (int64_t i = 0; i < in; ++i) dx.as<T>()[p * in + i] = T(sums[static_cast<size_t>(i)]);
    });
  });
}

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

double normOrder(const KernelCall& call) {
  return static_cast<double>(call.op->attributes.getInt("p", 2));
}

/// d |x| / dx of a p-norm y = (sum |x|^p)^(1/p).
double normSlope(double x, double y, double p) {
  if (y == 0 || x == 0) return 0;
  return (x < 0 ? -1 : 1) * std::pow(std::abs(x) / y, p - 1);
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

/// Elements per plane, here and in the whole tensor.
struct Planes {
  int64_t count, elements;
  double whole = 1;

  Planes(const KernelCall& call, const Shape& x)
      : count(x[0] * x[1]), elements(elementCount(spatialExtents(x))) {
    for (size_t d = 2; d < x.size(); ++d)
      whole *= static_cast<double>(rangeOf(call, d, x[d]).whole);
  }

  /// f(plane) by threads.
  template <class F>
  void forEach(const CpuContext& context, F f) const {
    parallelRanges(context, count, elements, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) f(p);
    });
  }
};

void globalAverage(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Planes planes(call, x.type.shape);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      double sum = 0;
      for (int64_t i = 0; i < planes.elements; ++i)
        sum += static_cast<double>(x.as<T>()[p * planes.elements + i]);
      y.as<T>()[p] = T(static_cast<Wide<T>>(sum / planes.whole));
    });
  });
}

void globalAverageGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Planes planes(call, dx.type.shape);
  forElementType(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      const T share(static_cast<Wide<T>>(static_cast<double>(dy.as<T>()[p]) / planes.whole));
      std::fill_n(dx.as<T>() + p * planes.elements, planes.elements, share);
    });
  });
}

template <class T>
int64_t firstLargest(const T* x, int64_t n) {
  int64_t most = 0;
  for (int64_t i = 1; i < n; ++i)
    if (static_cast<Wide<T>>(x[i]) > static_cast<Wide<T>>(x[most])) most = i;
  return most;
}

void globalMax(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Planes planes(call, x.type.shape);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      const T* const from = x.as<T>() + p * planes.elements;
      y.as<T>()[p] = from[firstLargest(from, planes.elements)];
    });
  });
}

void globalMaxGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &dx = *call.inputGradient(0);
  const Planes planes(call, x.type.shape);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      T* const to = dx.as<T>() + p * planes.elements;
      std::fill_n(to, planes.elements, T(Wide<T>(0)));
      to[firstLargest(x.as<T>() + p * planes.elements, planes.elements)] =
          call.outputGradient(0)->as<T>()[p];
    });
  });
}

void globalLp(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Planes planes(call, x.type.shape);
  const double order = normOrder(call);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      double sum = 0;
      for (int64_t i = 0; i < planes.elements; ++i)
        sum += std::pow(std::abs(static_cast<double>(x.as<T>()[p * planes.elements + i])), order);
      y.as<T>()[p] = T(static_cast<Wide<T>>(std::pow(sum, 1 / order)));
    });
  });
}

void globalLpGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &y = *call.forwardOutput(0);
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Planes planes(call, x.type.shape);
  const double order = normOrder(call);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    planes.forEach(context, [&](int64_t p) {
      const double norm = static_cast<double>(y.as<T>()[p]), g = static_cast<double>(dy.as<T>()[p]);
      for (int64_t i = p * planes.elements; i < (p + 1) * planes.elements; ++i)
        dx.as<T>()[i] =
            T(static_cast<Wide<T>>(g * normSlope(static_cast<double>(x.as<T>()[i]), norm, order)));
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

std::span<const CpuKernels> poolingKernels() {
  return kKernels;
}

}  // namespace meshplan
