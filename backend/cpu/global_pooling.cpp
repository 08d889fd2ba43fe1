// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/pooling.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

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

template <class T>
int64_t firstLargest(const T* x, int64_t n) {
  int64_t most = 0;
  for (int64_t i = 1; i < n; ++i)
    if (static_cast<Wide<T>>(x[i]) > static_cast<Wide<T>>(x[most])) most = i;
  return most;
}

}  // namespace

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

}  // namespace meshplan
