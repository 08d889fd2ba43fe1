// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend/communicator.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// reduceInOrder of backend/comm/ordered_reduction.h on the GPU, bit by bit the same but for which
/// NaN a NaN is: enqueued on the stream in use. Parts and outputs lie in memory that this GPU reads
/// and writes; an output may be one of the parts. More than kMostGpuRanks parts are refused.
inline constexpr int kMostGpuRanks = 64;
void reduceInRankOrder(CudaContext& context, std::span<const void* const> parts,
                       std::span<void* const> outputs, int64_t count, DType type, ReduceOp op);

}  // namespace meshplan
