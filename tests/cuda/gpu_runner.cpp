// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda/gpu_runner.h"

#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/cuda_transfers.h"

namespace meshplan {
namespace {

/// As far apart as tensors of an arena may lie close together.
constexpr int64_t kAlignment = 256;

int64_t placed(const TensorView& view) {
  return (view.type.bytes().value / kAlignment + 1) * kAlignment;
}

}  // namespace

std::byte* GpuRunner::place(int64_t bytes) {
  std::byte* at = memory_ + used_;
  used_ += bytes;
  return at;
}

void GpuRunner::run(const KernelCall& call) {
  int64_t bytes = 0;
  for (const TensorView& v : call.inputs) bytes += placed(v);
  for (const TensorView& v : call.outputs) bytes += placed(v);
  if (bytes > bytes_) {
    memory_ = static_cast<std::byte*>(context_.allocate(bytes, "tensors of a test"));
    bytes_ = bytes;
  }
  used_ = 0;
  context_.check(cudaMemsetAsync(memory_, 0xff, static_cast<size_t>(bytes), context_.stream()),
                 "cudaMemsetAsync");
  context_.setStepValues({{}, std::span(&call.seed, 1)});

  std::vector<TensorView> inputs(call.inputs.begin(), call.inputs.end());
  std::vector<TensorView> outputs(call.outputs.begin(), call.outputs.end());
  for (TensorView& v : inputs) {
    v.data = place(placed(v));
    uploadBytes(context_, v.data, call.inputs[size_t(&v - inputs.data())].data,
                v.type.bytes().value);
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    TensorView& v = outputs[o];
    v.data = place(placed(v));
    if (call.accumulates(o))
      uploadBytes(context_, v.data, call.outputs[o].data, v.type.bytes().value);
  }
  KernelCall there = call;
  there.inputs = inputs;
  there.outputs = outputs;
  there.seedSlot = 0;
  runCudaKernel(context_, there);
  for (size_t o = 0; o < outputs.size(); ++o)
    downloadBytes(context_, call.outputs[o].data, outputs[o].data, outputs[o].type.bytes().value);
}

}  // namespace meshplan
