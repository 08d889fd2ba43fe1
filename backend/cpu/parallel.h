// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Work below this many elements is not worth waking threads for.
inline constexpr int64_t kParallelElements = 1 << 15;

/// Calls f(begin, end) over pieces of [0, count) on the context's threads; `perItem` is the work of
/// one item in elements. Pieces are as even as can be and start at multiples of 16 items where
/// there are many, so that neighbouring threads share no cache lines. `f` must not throw.
template <class F>
void parallelRanges(const CpuContext& context, int64_t count, int64_t perItem, F&& f) {
  constexpr int64_t kMultiple = 16;
  const int64_t work = count * std::max<int64_t>(perItem, 1);
  const int64_t pieces =
      std::min({int64_t{context.threads()}, count, work / (kParallelElements / 2)});
  if (pieces <= 1) {
    if (count > 0) f(int64_t{0}, count);
    return;
  }
  const int64_t even = (count + pieces - 1) / pieces;
  const int64_t step =
      even >= 4 * kMultiple ? (even + kMultiple - 1) / kMultiple * kMultiple : even;
#pragma omp parallel for num_threads(static_cast <int>(pieces)) schedule(static, 1)
  for (int64_t i = 0; i < pieces; ++i)
    if (i * step < count) f(i * step, std::min(count, (i + 1) * step));
}

}  // namespace meshplan
