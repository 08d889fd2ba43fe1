// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/map_blocks.h"
#include "backend/cpu/reduce.h"

namespace meshplan {

/// The gradient of an operand that broadcasts is summed to the operand's shape.

/// to = factor x dy, summed.
void passGradient(const CpuContext& context, const TensorView& dy, const TensorView& to,
                  double factor = 1);

/// Writes loop(reads) (see mapBroadcast), which has the shape `whole`, summed, to `to`.
template <class A, class Loop>
void mapGradient(CpuContext& context, std::span<const TensorView> reads, const Shape& whole,
                 const TensorView& to, int64_t work, Loop&& loop) {
  const int64_t elements = elementCount(whole);
  if (elements == to.type.elements())
    return mapBroadcast<A>(context, reads, {to.data, {to.type.dtype, whole}}, work, loop);
  TensorView terms{nullptr, {std::is_same_v<A, double> ? DType::f64 : DType::f32, whole}};
  terms.data = context.scratch(static_cast<size_t>(terms.type.bytes().value));
  mapBroadcast<A>(context, reads, terms, work, loop);
  sumBox(context, broadcastBox(whole, to.type.shape), terms, to);
}

}  // namespace meshplan
