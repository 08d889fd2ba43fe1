// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Elementwise kernels work through blocks that fit the first-level cache, converted to one type to
/// compute in: float, double, or int64 for integers and booleans. Operands may so differ in dtype.
inline constexpr int64_t kBlock = 1024;

/// fp64 if one operand is, else float if one is floating, else int64. Throws Error(runtime) naming
/// the operator for dtypes the CPU does not compute in.
enum class ComputeType : uint8_t { f32, f64, i64 };
ComputeType computeType(const KernelCall& call);

/// Calls f with a value of the type to compute in; the second leaves integers out (Error(runtime)).
template <class F>
void withComputeType(const KernelCall& call, F&& f) {
  const ComputeType type = computeType(call);
  if (type == ComputeType::f64) return f(double{});
  if (type == ComputeType::f32) return f(float{});
  return f(int64_t{});
}
[[noreturn]] void rejectDType(const Operator& op, DType dtype);
template <class F>
void withFloatType(const KernelCall& call, F&& f) {
  const ComputeType type = computeType(call);
  if (type == ComputeType::f64) return f(double{});
  if (type == ComputeType::f32) return f(float{});
  rejectDType(*call.op, call.inputs[0].type.dtype);
}

/// `count` elements of a tensor from element `at` on, converted into `buffer` unless they are of
/// type A already: then, where they lie.
template <class A>
const A* loadBlock(const TensorView& tensor, int64_t at, int64_t count, A* buffer);
/// Where to compute elements for `tensor`: in place or in `buffer`, which storeBlock then converts.
template <class A>
A* blockTarget(const TensorView& tensor, int64_t at, A* buffer);
/// Floats to integers are truncated, anything to booleans compares with zero.
template <class A>
void storeBlock(const TensorView& tensor, int64_t at, int64_t count, const A* block);

}  // namespace meshplan
