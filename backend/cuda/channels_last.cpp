// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/channels_last.h"

#include "backend/cuda/box_kernels.h"

namespace meshplan {
namespace {

StridedBox toLast(const TensorType& type) {
  const int64_t batch = type.shape[0], channels = type.shape[1];
  const int64_t positions = batch * channels == 0 ? 0 : type.elements() / (batch * channels);
  StridedBox box;
  box.add(batch, channels * positions, channels * positions);
  box.add(channels, positions, 1);
  box.add(positions, 1, channels);
  return box;
}

}  // namespace

void toChannelsLast(CudaContext& context, const TensorView& tensor, void* channelsLast) {
  copyBox(context, toLast(tensor.type), tensor, {channelsLast, tensor.type});
}

void fromChannelsLast(CudaContext& context, void* channelsLast, const TensorView& tensor) {
  copyBox(context, toLast(tensor.type).reversed(), {channelsLast, tensor.type}, tensor);
}

}  // namespace meshplan
