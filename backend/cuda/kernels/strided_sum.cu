// SPDX-License-Identifier: Apache-2.0
// CPU reference: gathered and store in backend/cpu/einsum.cpp.
// Bound by memory, and by it alone where the fastest dimension is dense on both sides.
#include "backend/cuda/strided_sum.h"

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::Compute;

constexpr int kDims = 12;

struct Nest {
  int dims = 0, summed = 0;
  int64_t extent[kDims], from[kDims], to[kDims];
  int64_t summedExtent[kDims], step[kDims];
  int64_t sums = 1;
};

template <class F, class T>
struct Sum {
  using A = Compute<std::conditional_t<std::is_same_v<F, double>, F, T>>;
  Nest nest;
  const F* from;
  T* to;
  A scale;
  bool accumulate;

  __device__ int64_t summedOffset(int64_t j) const {
    int64_t at = 0;
    for (int d = nest.summed; d-- > 0; j /= nest.summedExtent[d])
      at += j % nest.summedExtent[d] * nest.step[d];
    return at;
  }

  __device__ void operator()(int64_t i) const {
    int64_t source = 0, target = 0;
    for (int d = nest.dims; d-- > 0; i /= nest.extent[d]) {
      const int64_t at = i % nest.extent[d];
      source += at * nest.from[d];
      target += at * nest.to[d];
    }
    A sum = 0;
    if (nest.summed == 0)
      sum = A(from[source]);
    else if (nest.summed == 1)
      for (int64_t j = 0; j < nest.sums; ++j) sum += A(from[source + j * nest.step[0]]);
    else
      for (int64_t j = 0; j < nest.sums; ++j) sum += A(from[source + summedOffset(j)]);
    sum *= scale;
    to[target] = T(accumulate ? A(to[target]) + sum : sum);
  }
};

template <class List, class Continues>
List collapsed(const List& dims, Continues continues) {
  List result;
  for (const auto& d : dims) {
    if (d.extent == 1) continue;
    if (!result.empty() && continues(result.back(), d)) {
      const int64_t outer = result.back().extent;
      result.back() = d;
      result.back().extent *= outer;
    } else {
      result.push_back(d);
    }
  }
  return result;
}

Nest nestOf(const StridedSum& s) {
  const auto dims = collapsed(s.dims, [](const auto& outer, const auto& inner) {
    return outer.from == inner.extent * inner.from && outer.to == inner.extent * inner.to;
  });
  const auto summed = collapsed(s.summed, [](const auto& outer, const auto& inner) {
    return outer.step == inner.extent * inner.step;
  });
  if (dims.size() > kDims || summed.size() > kDims)
    throw Error(ErrorKind::runtime, "the GPU rearranges tensors of 12 dimensions at most");
  Nest nest;
  for (const auto& d : dims) {
    nest.extent[nest.dims] = d.extent;
    nest.from[nest.dims] = d.from;
    nest.to[nest.dims++] = d.to;
  }
  for (const auto& d : summed) {
    nest.summedExtent[nest.summed] = d.extent;
    nest.step[nest.summed++] = d.step;
    nest.sums *= d.extent;
  }
  return nest;
}

template <class F>
void withType(DType type, F f) {
  switch (type) {
    case DType::f64:
      return f(double{});
    case DType::f32:
    case DType::tf32:
      return f(float{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::f16:
      return f(Half{});
    default:
      throw Error(ErrorKind::runtime,
                  "the GPU does not rearrange " + std::string(dtypeName(type)) + " by strides",
                  "use bf16, fp16, fp32 or fp64");
  }
}

}  // namespace

void stridedSum(CudaContext& context, StridedSum sum) {
  int64_t count = 1;
  for (const auto& d : sum.dims) count *= d.extent;
  if (count == 0) return;
  const Nest nest = nestOf(sum);
  withType(sum.fromType, [&](auto from) {
    withType(sum.toType, [&](auto to) {
      using F = decltype(from);
      using T = decltype(to);
      forEach(context, count,
              Sum<F, T>{nest, static_cast<const F*>(sum.from), static_cast<T*>(sum.to),
                        static_cast<typename Sum<F, T>::A>(sum.scale), sum.accumulate});
    });
  });
}

void convertElements(CudaContext& context, const void* from, DType fromType, void* to, DType toType,
                     int64_t count, bool accumulate) {
  stridedSum(context, {{{count, 1, 1}}, {}, from, fromType, to, toType, 1, accumulate});
}

}  // namespace meshplan
