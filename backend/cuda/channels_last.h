// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// A dense tensor [batch, channels, positions...] and the same elements in the order batch,
/// positions, channels, as tensor cores want images and filters. One is read and one written, once;
/// elements of 1 to 8 bytes.
void toChannelsLast(CudaContext& context, const TensorView& tensor, void* channelsLast);
void fromChannelsLast(CudaContext& context, void* channelsLast, const TensorView& tensor);

}  // namespace meshplan
