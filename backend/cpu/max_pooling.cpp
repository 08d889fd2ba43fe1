// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <vector>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/pooling.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/window_runs.h"
#include "core/error.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

/// largest = max(largest, x) for elements `step` apart, the earlier of equals and the first NaN
/// staying; where: the positions of the largest, -1 before the first.
template <class T>
MESHPLAN_INLINE void takeLarger(const T* x, int64_t position, int64_t count, int64_t step,
                                Wide<T>* largest, int32_t* where) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const Wide<T> v = static_cast<Wide<T>>(x[position + i * step]), old = largest[i];
    const bool larger = (v > old) | ((v != v) & (old == old)) | (where[i] < 0);
    largest[i] = larger ? v : old;
    where[i] = larger ? static_cast<int32_t>(position + i * step) : where[i];
  }
}

template <class T>
MESHPLAN_SIMD void takeLargerRun(const T* x, int64_t position, int64_t count, int64_t step,
                                 Wide<T>* largest, int32_t* where) {
  if (step == 1) return takeLarger(x, position, count, 1, largest, where);
  if (step == 2) return takeLarger(x, position, count, 2, largest, where);
  takeLarger(x, position, count, step, largest, where);
}

/// The largest elements of all windows of a plane, and their positions in it.
template <class T>
struct Maxima {
  std::vector<Wide<T>> values;
  std::vector<int32_t> where;

  void find(const WindowGeometry& g, const T* x) {
    const auto count = static_cast<size_t>(g.outElements());
    values.assign(count, -std::numeric_limits<Wide<T>>::infinity());
    where.assign(count, -1);
    for (int64_t k = 0; k < g.kernelElements(); ++k)
      forRuns(g, k, [&](int64_t in, int64_t out, int64_t run, int64_t step) {
        takeLargerRun(x, in, run, step, values.data() + out, where.data() + out);
      });
  }
};

WindowGeometry geometryOf(const KernelCall& call, const Shape& x, const Shape& y) {
  const Attributes& attributes = call.op->attributes;
  const Window window(attributes, attributes.getInts("kernel_shape"));
  const Shape in = spatialExtents(x), out = spatialExtents(y);
  if (elementCount(in) > std::numeric_limits<int32_t>::max())
    throw Error(ErrorKind::runtime, "a channel of shape " + shapeText(in) + " is too large to pool",
                "split the image")
        .at(call.op->name);
  return {in,
          out,
          window.kernel(),
          window.strides(),
          window.dilations(),
          window.padding(in, out).before};
}

template <class F>
void forPlanes(const CpuContext& context, const TensorView& x, const WindowGeometry& g, F f) {
  const int64_t work = g.inElements() + g.outElements() * g.kernelElements();
  parallelRanges(context, x.type.shape[0] * x.type.shape[1], work,
                 [&](int64_t begin, int64_t end) { f(begin, end); });
}

}  // namespace

void maxPool(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const WindowGeometry g = geometryOf(call, x.type.shape, y.type.shape);
  const int64_t channels = x.type.shape[1], in = g.inElements(), out = g.outElements();
  const AxisRange batch = rangeOf(call, 0, x.type.shape[0]), all = rangeOf(call, 1, channels);
  int64_t* const indices = call.outputs.size() > 1 ? call.outputs[1].as<int64_t>() : nullptr;
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forPlanes(context, x, g, [&](int64_t begin, int64_t end) {
      Maxima<T> maxima;
      for (int64_t p = begin; p < end; ++p) {
        maxima.find(g, x.as<T>() + p * in);
        for (size_t o = 0; o < maxima.values.size(); ++o)
          y.as<T>()[p * out + static_cast<int64_t>(o)] = T(maxima.values[o]);
        const int64_t place = (batch.begin + p / channels) * all.whole + all.begin + p % channels;
        for (size_t o = 0; indices && o < maxima.where.size(); ++o)
          indices[p * out + static_cast<int64_t>(o)] = place * in + maxima.where[o];
      }
    });
  });
}

void maxPoolGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &dy = *call.outputGradient(0);
  const TensorView& dx = *call.inputGradient(0);
  const WindowGeometry g = geometryOf(call, x.type.shape, dy.type.shape);
  const int64_t in = g.inElements(), out = g.outElements();
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forPlanes(context, x, g, [&](int64_t begin, int64_t end) {
      Maxima<T> maxima;
      std::vector<Wide<T>> sums;
      for (int64_t p = begin; p < end; ++p) {
        maxima.find(g, x.as<T>() + p * in);
        sums.assign(static_cast<size_t>(in), 0);
        for (size_t o = 0; o < maxima.where.size(); ++o)
          if (maxima.where[o] >= 0)
            sums[static_cast<size_t>(maxima.where[o])] +=
                static_cast<Wide<T>>(dy.as<T>()[p * out + static_cast<int64_t>(o)]);
        std::transform(sums.begin(), sums.end(), dx.as<T>() + p * in,
                       [](Wide<T> sum) { return T(sum); });
      }
    });
  });
}

}  // namespace meshplan
