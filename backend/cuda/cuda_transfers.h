// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Between host and device, in the order of the stream in use. An upload may leave after it has
/// returned, but reads its memory before; a download waits.
void uploadBytes(CudaContext& context, void* to, const void* hostFrom, int64_t bytes);
void downloadBytes(CudaContext& context, void* hostTo, const void* from, int64_t bytes);

}  // namespace meshplan
