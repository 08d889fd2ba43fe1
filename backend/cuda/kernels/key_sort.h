// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "backend/cuda/cuda_context.h"

namespace meshplan::device {

/// Keys in ascending order and the places they came from, equal ones in the order of their places:
/// the same on every run, so that sums in this order are too.
struct SortedKeys {
  const int32_t* keys;
  const int32_t* places;
};

/// Memory that sortKeys needs for `count` keys; the caller gives it.
int64_t sortBytes(int64_t count);
/// Sorts count < 2^31 keys from 0 to `largest` by their digits of 8 bits from the lowest on,
/// O(count) work per digit. `keys` lies outside `memory` and is overwritten.
SortedKeys sortKeys(CudaContext& context, int32_t* keys, int64_t count, int64_t largest,
                    void* memory);

}  // namespace meshplan::device
