// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <type_traits>

#include "backend/bfloat16.h"
#include "backend/cpu/simd.h"
#include "backend/kernel.h"
#include "core/error.h"

namespace meshplan {

/// What sums over elements of type T are kept in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// An element as another type, at its own precision.
template <class From, class To>
MESHPLAN_INLINE To castElement(From x) {
  if constexpr (std::is_same_v<From, To>)
    return x;
  else if constexpr (std::is_same_v<To, BFloat16>)
    return BFloat16(static_cast<float>(x));
  else if constexpr (std::is_same_v<From, BFloat16>)
    return static_cast<To>(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

/// Calls f with a value of the C++ type of a floating dtype: double, float or BFloat16. Any other
/// dtype throws Error(runtime) naming the operator.
template <class F>
void forElementType(const Operator& op, DType dtype, F&& f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::f32 || dtype == DType::tf32) return f(float{});
  if (dtype == DType::bf16) return f(BFloat16{});
  throw Error(ErrorKind::runtime,
              "the CPU does not compute " + std::string(op.def->name) + " in " +
                  std::string(dtypeName(dtype)),
              "use fp32, fp64 or bf16")
      .at(op.name);
}

/// Whether this rank adds the bias of a forward call: everywhere, unless a reduction is split.
bool addsBias(const KernelCall& call);

}  // namespace meshplan
