// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "backend/cuda/cuda_context.h"

namespace meshplan {

using CudaKernel = void (*)(CudaContext&, const KernelCall&);

/// The kernels of an operator, which enqueue their work on the stream in use and return. Floating
/// tensors are fp32, bf16, fp16 (both computed in fp32; weight gradients in their own type) or
/// fp64. `backward` runs every gradient operator of the forward operator, as in
/// backend/cpu/cpu_kernels.h; what they compute is what the CPU kernels of the same name do.
struct CudaKernels {
  std::string_view name;  // of the OperatorDef
  CudaKernel forward = nullptr;
  CudaKernel backward = nullptr;
  /// Whether `backward` honours KernelCall::accumulate; if not, runCudaKernel adds for it.
  bool accumulates = false;
  /// Whether the kernels can do this call; null: any.
  bool (*takes)(const KernelCall&) = nullptr;
};

/// One table per family, joined by findCudaKernels.
std::span<const CudaKernels> cudaElementwiseKernels();
std::span<const CudaKernels> cudaMovementKernels();
std::span<const CudaKernels> cudaLossKernels();
std::span<const CudaKernels> cudaMoeKernels();
std::span<const CudaKernels> cudaReductionKernels();
std::span<const CudaKernels> cudaChannelNormKernels();
std::span<const CudaKernels> cudaPoolingKernels();
std::span<const CudaKernels> cudaEmbeddingKernels();
std::span<const CudaKernels> cudaRowNormKernels();
std::span<const CudaKernels> cudaSoftmaxKernels();
std::span<const CudaKernels> cudaContractionKernels();
std::span<const CudaKernels> cudaConvolutionKernels();
std::span<const CudaKernels> cudaAttentionKernels();

/// Null when the GPU has no kernel for the call.
const CudaKernels* findCudaKernels(const KernelCall& call);

/// Runs one operator of phase forward or backward: on the GPU, or, for want of a kernel, on the
/// host, for which it waits. Errors name the operator.
void runCudaKernel(CudaContext& context, const KernelCall& call);

}  // namespace meshplan
