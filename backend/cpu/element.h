// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>

#include "backend/kernel.h"
#include "core/error.h"

namespace meshplan {

/// The upper half of an fp32 number, rounded to nearest even; a NaN stays one.
struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  explicit BFloat16(float value) {
    const uint32_t wide = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = wide + 0x7fff + (wide >> 16 & 1);
    bits = static_cast<uint16_t>((value == value ? rounded : wide | 0x400000) >> 16);
  }
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// What sums over elements of type T are kept in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

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
