// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "backend/cpu/convolution.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Enqueues a convolution or one of its gradients on tensors as the graph has them (batch,
/// channels, positions; backend/cpu/convolution.h): by products in place where it is pointwise, by
/// the library where that knows it, by products with patches otherwise. fp64, fp32, bf16 and fp16,
/// summed in fp64 or fp32; gradients of weights may be fp32 beside 16 bits. Up to 3 spatial
/// dimensions.
void convolve(CudaContext& context, const ConvolutionGeometry& geometry, ConvolutionPass pass,
              const ConvolutionData& data);

/// What a library of convolutions has to do; backend/cuda/libraries/cudnn_convolution.cpp is the
/// one. False, with nothing enqueued, when it does not know the convolution, or cannot be opened.
bool convolveInLibrary(CudaContext& context, const ConvolutionGeometry& geometry,
                       ConvolutionPass pass, const ConvolutionData& data);
/// "cuDNN 9.19.0", or why there is none.
std::string convolutionLibrary(CudaContext& context);

/// Any geometry of up to 3 dimensions: as many images at a time as 256 MiB of patches hold.
void convolveByPatches(CudaContext& context, const ConvolutionGeometry& geometry,
                       ConvolutionPass pass, const ConvolutionData& data);

/// y = the bias of each channel, everywhere.
void fillChannels(CudaContext& context, const TensorView& bias, const TensorView& y);

}  // namespace meshplan
