// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/kernels/element.h"

/// Elements of dtypes that are known when a kernel runs, as numbers of type A: float, double or
/// int64_t.
namespace meshplan::device {

struct Boolean {
  uint8_t value;
};

template <class A, class T>
MESHPLAN_INLINE A toNumber(T x) {
  if constexpr (std::is_same_v<T, Boolean>)
    return static_cast<A>(x.value);
  else if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>)
    return static_cast<A>(static_cast<float>(x));
  else
    return static_cast<A>(x);
}

template <class T, class A>
MESHPLAN_INLINE T fromNumber(A x) {
  if constexpr (std::is_same_v<T, Boolean>)
    return {static_cast<uint8_t>(x != A(0))};
  else if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>)
    return T(static_cast<float>(x));
  else
    return static_cast<T>(x);
}

/// Calls Body::run<T>(arguments...) for the element type of a dtype.
template <class Body, class... Arguments>
MESHPLAN_INLINE void withElementOf(DType dtype, Arguments&&... arguments) {
  switch (dtype) {
    case DType::f64:
      return Body::template run<double>(arguments...);
    case DType::f32:
    case DType::tf32:
      return Body::template run<float>(arguments...);
    case DType::bf16:
      return Body::template run<BFloat16>(arguments...);
    case DType::f16:
      return Body::template run<Half>(arguments...);
    case DType::i64:
      return Body::template run<int64_t>(arguments...);
    case DType::i32:
      return Body::template run<int32_t>(arguments...);
    case DType::i16:
      return Body::template run<int16_t>(arguments...);
    case DType::i8:
      return Body::template run<int8_t>(arguments...);
    case DType::u8:
      return Body::template run<uint8_t>(arguments...);
    case DType::boolean:
      return Body::template run<Boolean>(arguments...);
    default:
      return;
  }
}

/// N neighbours from element `at` on, the first `count` of them only where that is less; `at` is a
/// multiple of N.
template <int N>
struct LoadElements {
  template <class T, class A>
  static MESHPLAN_INLINE void run(const void* from, int64_t at, int count, A (&values)[N]) {
    const T* source = static_cast<const T*>(from) + at;
    if (count < N) {
      for (int i = 0; i < N; ++i) values[i] = i < count ? toNumber<A>(source[i]) : A{};
      return;
    }
    constexpr int n = sizeof(T) * N > 16 ? 16 / static_cast<int>(sizeof(T)) : N;
    for (int part = 0; part < N; part += n) {
      const auto pack = *reinterpret_cast<const Pack<T, n>*>(source + part);
      for (int i = 0; i < n; ++i) values[part + i] = toNumber<A>(pack.at[i]);
    }
  }
};

template <int N>
struct StoreElements {
  template <class T, class A>
  static MESHPLAN_INLINE void run(void* to, int64_t at, int count, const A (&values)[N]) {
    T* target = static_cast<T*>(to) + at;
    if (count < N) {
      for (int i = 0; i < N; ++i)
        if (i < count) target[i] = fromNumber<T>(values[i]);
      return;
    }
    constexpr int n = sizeof(T) * N > 16 ? 16 / static_cast<int>(sizeof(T)) : N;
    for (int part = 0; part < N; part += n) {
      Pack<T, n> pack;
      for (int i = 0; i < n; ++i) pack.at[i] = fromNumber<T>(values[part + i]);
      *reinterpret_cast<Pack<T, n>*>(target + part) = pack;
    }
  }
};

template <class A>
MESHPLAN_INLINE A loadElement(DType dtype, const void* from, int64_t at) {
  A value[1] = {};
  withElementOf<LoadElements<1>>(dtype, from, at, 1, value);
  return value[0];
}

template <class A>
MESHPLAN_INLINE void storeElement(DType dtype, void* to, int64_t at, A value) {
  const A values[1] = {value};
  withElementOf<StoreElements<1>>(dtype, to, at, 1, values);
}

}  // namespace meshplan::device
