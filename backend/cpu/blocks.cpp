// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/blocks.h"

#include <string>

#include "backend/cpu/element.h"
#include "backend/cpu/simd.h"
#include "core/error.h"

namespace meshplan {
namespace {

struct Boolean {
  uint8_t value;
};

template <class From, class To>
MESHPLAN_INLINE To converted(From x) {
  if constexpr (std::is_same_v<To, Boolean>)
    return {static_cast<uint8_t>(x != From{})};
  else if constexpr (std::is_same_v<From, Boolean>)
    return static_cast<To>(x.value);
  else
    return castElement<From, To>(x);
}

template <class From, class To>
MESHPLAN_SIMD void convertFast(const From* __restrict from, To* __restrict to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = converted<From, To>(from[i]);
}

template <class From, class To>
void convert(const From* from, To* to, int64_t count) {
  constexpr bool hot = (std::is_same_v<From, float> && std::is_same_v<To, BFloat16>) ||
                       (std::is_same_v<From, BFloat16> && std::is_same_v<To, float>);
  if constexpr (hot)
    convertFast(from, to, count);
  else
    for (int64_t i = 0; i < count; ++i) to[i] = converted<From, To>(from[i]);
}

/// Calls f with a value of the C++ type that elements of the dtype have.
template <class F>
void withElementType(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::f32:
    case DType::tf32:
      return f(float{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::i64:
      return f(int64_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i8:
      return f(int8_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::boolean:
      return f(Boolean{});
    case DType::f16:
    case DType::f8:
    case DType::i4:
      break;
  }
  throw Error(ErrorKind::runtime,
              "the CPU does not compute with elements of " + std::string(dtypeName(dtype)),
              "use fp32, fp64 or bf16");
}

bool isComputed(DType dtype) {
  return dtype != DType::f16 && dtype != DType::f8 && dtype != DType::i4;
}

}  // namespace

void rejectDType(const Operator& op, DType dtype) {
  throw Error(ErrorKind::runtime,
              "the CPU does not compute " + std::string(op.def->name) + " in " +
                  std::string(dtypeName(dtype)),
              "use fp32, fp64 or bf16")
      .at(op.name);
}

ComputeType computeType(const KernelCall& call) {
  bool wide = false, floating = false;
  for (const auto views : {call.inputs, call.outputs})
    for (const TensorView& t : views) {
      if (!isComputed(t.type.dtype)) rejectDType(*call.op, t.type.dtype);
      wide = wide || t.type.dtype == DType::f64;
      floating = floating || isFloating(t.type.dtype);
    }
  return wide ? ComputeType::f64 : floating ? ComputeType::f32 : ComputeType::i64;
}

template <class A>
const A* loadBlock(const TensorView& tensor, int64_t at, int64_t count, A* buffer) {
  const A* result = buffer;
  withElementType(tensor.type.dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (std::is_same_v<T, A>)
      result = tensor.as<T>() + at;
    else
      convert(tensor.as<T>() + at, buffer, count);
  });
  return result;
}

template <class A>
A* blockTarget(const TensorView& tensor, int64_t at, A* buffer) {
  A* result = buffer;
  withElementType(tensor.type.dtype, [&](auto element) {
    if constexpr (std::is_same_v<decltype(element), A>) result = tensor.as<A>() + at;
  });
  return result;
}

template <class A>
void storeBlock(const TensorView& tensor, int64_t at, int64_t count, const A* block) {
  withElementType(tensor.type.dtype, [&](auto element) {
    convert(block, tensor.as<decltype(element)>() + at, count);
  });
}

#define MESHPLAN_BLOCKS(A)                                                 \
  template const A* loadBlock<A>(const TensorView&, int64_t, int64_t, A*); \
  template A* blockTarget<A>(const TensorView&, int64_t, A*);              \
  template void storeBlock<A>(const TensorView&, int64_t, int64_t, const A*);
MESHPLAN_BLOCKS(float)
MESHPLAN_BLOCKS(double)
MESHPLAN_BLOCKS(int64_t)
#undef MESHPLAN_BLOCKS

}  // namespace meshplan
