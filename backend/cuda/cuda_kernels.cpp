// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_kernels.h"

#include <vector>

#include "backend/cuda/host_fallback.h"
#include "backend/cuda/parameter_kernels.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// For kernels that only overwrite: computes beside what they should add to, and adds.
void runBeside(CudaContext& context, const KernelCall& call, CudaKernel kernel) {
  std::vector<TensorView> outputs(call.outputs.begin(), call.outputs.end());
  for (size_t o = 0; o < outputs.size(); ++o)
    if (call.accumulates(o))
      outputs[o].data = context.scratch(outputs[o].type.bytes().value,
                                        CudaContext::kBeside + static_cast<int>(o));
  KernelCall plain = call;
  plain.outputs = outputs;
  plain.accumulate = 0;
  kernel(context, plain);
  for (size_t o = 0; o < outputs.size(); ++o)
    if (call.accumulates(o))
      addElements(context, call.outputs[o].data, outputs[o].data, outputs[o].type.elements(),
                  outputs[o].type.dtype);
}

void runOn(CudaContext& context, const KernelCall& call) {
  const CudaKernels* kernels = findCudaKernels(call);
  const CudaKernel kernel =
      kernels ? (call.isGradient() ? kernels->backward : kernels->forward) : nullptr;
  if (!kernel) return runOnHost(context, call, runCpuKernel);
  if (call.accumulate != 0 && !kernels->accumulates) return runBeside(context, call, kernel);
  kernel(context, call);
}

}  // namespace

const CudaKernels* findCudaKernels(const KernelCall& call) {
  for (const auto& table : {
           cudaElementwiseKernels(),
           cudaMovementKernels(),
           cudaLossKernels(),
           cudaRowNormKernels(),
           cudaSoftmaxKernels(),
           cudaEmbeddingKernels(),
           cudaContractionKernels(),
           cudaConvolutionKernels(),
           cudaAttentionKernels(),
           cudaChannelNormKernels(),
           cudaPoolingKernels(),
           cudaMoeKernels(),
           cudaReductionKernels(),
       })
    for (const CudaKernels& k : table)
      if (k.name == call.op->def->name && (!k.takes || k.takes(call))) return &k;
  return nullptr;
}

void runCudaKernel(CudaContext& context, const KernelCall& call) {
  try {
    runOn(context, call);
  } catch (const Error& error) {
    throw error.at(call.op->name);
  }
}

}  // namespace meshplan
