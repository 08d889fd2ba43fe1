// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/split_loss_kernels.h"

#include "backend/cpu/cross_entropy.h"
#include "backend/cuda/host_fallback.h"

namespace meshplan {
namespace {

using HostLoss = void (*)(CpuContext&, const KernelCall&, const TensorView&);

void withStatistics(CudaContext& context, const KernelCall& call, const TensorView& statistics,
                    HostLoss loss) {
  std::vector<TensorView> inputs(call.inputs.begin(), call.inputs.end());
  inputs.push_back(statistics);
  KernelCall extended = call;
  extended.inputs = inputs;
  runOnHost(context, extended, [loss](CpuContext& host, const KernelCall& copy) {
    loss(host, copy, copy.inputs.back());
  });
}

}  // namespace

void crossEntropyStatistics(CudaContext& context, const KernelCall& call,
                            const TensorView& statistics) {
  KernelCall making = call;
  making.outputs = std::span(&statistics, 1);
  runOnHost(context, making, [](CpuContext& host, const KernelCall& copy) {
    crossEntropyStatistics(host, copy, copy.outputs[0]);
  });
}

void crossEntropyLoss(CudaContext& context, const KernelCall& call, const TensorView& statistics) {
  withStatistics(context, call, statistics, crossEntropyLoss);
}

void crossEntropyGradient(CudaContext& context, const KernelCall& call,
                          const TensorView& statistics) {
  withStatistics(context, call, statistics, crossEntropyGradient);
}

}  // namespace meshplan
