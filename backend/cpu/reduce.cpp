// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduce.h"

#include "backend/cpu/blocks.h"

namespace meshplan {
namespace {

template <class A, class T>
void sumElements(const CpuContext& context, const StridedBox& box, const T* from,
                 const TensorView& to, double factor) {
  reduceBox<Summation, A>(context, box, from, [&](int64_t at, const A* totals, int64_t count) {
    A block[kBlock];
    for (int64_t i = 0; i < count; ++i) block[i] = totals[i] * static_cast<A>(factor);
    storeBlock(to, at, count, block);
  });
}

}  // namespace

void sumBox(const CpuContext& context, const StridedBox& box, const TensorView& from,
            const TensorView& to, double factor) {
  switch (from.type.dtype) {
    case DType::f64:
      return sumElements<double>(context, box, from.as<double>(), to, factor);
    case DType::bf16:
      return sumElements<float>(context, box, from.as<BFloat16>(), to, factor);
    default:
      return sumElements<float>(context, box, from.as<float>(), to, factor);
  }
}

StridedBox broadcastBox(const Shape& large, const Shape& small) {
  const std::vector<int64_t> from = denseStrides(large), to = denseStrides(small);
  StridedBox box;
  for (size_t d = 0; d < large.size(); ++d) {
    const size_t skipped = large.size() - small.size();
    const bool repeats = d < skipped || small[d - skipped] != large[d];
    box.add(large[d], from[d], repeats ? 0 : to[d - skipped]);
  }
  return box;
}

}  // namespace meshplan
