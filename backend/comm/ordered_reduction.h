// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend/communicator.h"

namespace meshplan {

/// The reduction that every communicator uses, so that results do not depend on which of them runs
/// or on timing: element i of every output is part 0's, combined with part 1's, then with part 2's
/// and so on. fp64 is added in fp64; fp32, bf16 and fp16 in fp32, rounded to nearest even once at
/// the end. A maximum with a NaN is NaN. An output may be one of the parts. `type` is one that
/// `canReduce`.
bool canReduce(DType type);
void reduceInOrder(std::span<const void* const> parts, std::span<void* const> outputs,
                   int64_t count, DType type, ReduceOp op);

/// Where rank `index` of `size` has its share of `count` elements: shares are in rank order, cover
/// everything, and begin at multiples of 64 elements, so that no two share a cache line of an
/// aligned buffer. The last ones may be empty.
struct Share {
  int64_t begin = 0, count = 0;
};
Share shareOf(int64_t count, int index, int size);

}  // namespace meshplan
