// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <type_traits>

#include "backend/bfloat16.h"
#include "backend/cpu/simd.h"
#include "backend/half.h"
#include "backend/kernel.h"
#include "core/error.h"

/// Element types of GPU kernels: double, float, BFloat16, Half.
namespace meshplan::device {

/// What an element is computed in.
template <class T>
using Compute =
    std::conditional_t<std::is_same_v<T, double> || std::is_same_v<T, int64_t>, T, float>;

template <class T>
inline constexpr DType kDType = std::is_same_v<T, double>     ? DType::f64
                                : std::is_same_v<T, float>    ? DType::f32
                                : std::is_same_v<T, BFloat16> ? DType::bf16
                                : std::is_same_v<T, Half>     ? DType::f16
                                                              : DType::i64;

/// N neighbouring elements that one instruction moves; N * sizeof(T) is at most 16.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};
/// As many as 16 bytes hold.
template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));

/// Calls f with a value of the C++ type of a floating dtype. Any other dtype throws Error(runtime)
/// naming the operator.
template <class F>
void withElement(const Operator& op, DType dtype, F&& f) {
  switch (dtype) {
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
                  "the GPU does not compute " + std::string(op.def->name) + " in " +
                      std::string(dtypeName(dtype)),
                  "use bf16, fp16, fp32 or fp64")
          .at(op.name);
  }
}

/// The same with int64_t for i64.
template <class F>
void withNumber(const Operator& op, DType dtype, F&& f) {
  if (dtype == DType::i64) return f(int64_t{});
  withElement(op, dtype, f);
}

}  // namespace meshplan::device
