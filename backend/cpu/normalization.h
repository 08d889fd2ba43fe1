// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// The parts of the family, each in a file of its own. `...Gradient` recomputes statistics from the
/// input instead of keeping them.

/// row_norm.cpp: over the trailing dimensions from `axis` on; scales and shifts may broadcast.
void layerNorm(CpuContext& context, const KernelCall& call);
void layerNormGradient(CpuContext& context, const KernelCall& call);
void rmsNorm(CpuContext& context, const KernelCall& call);
void rmsNormGradient(CpuContext& context, const KernelCall& call);

/// channel_norm.cpp: x[n,c,spatial...] with a scale and a shift per channel. Batch normalisation in
/// training takes the statistics of its local batch and moves running ones, where given, in place:
/// running = momentum * running + (1 - momentum) * batch, the variance unbiased as in PyTorch; in
/// evaluation (attribute `training` = 0 or KernelCall::training false) it reads them.
void batchNorm(CpuContext& context, const KernelCall& call);
void batchNormGradient(CpuContext& context, const KernelCall& call);
void groupNorm(CpuContext& context, const KernelCall& call);  // and instances: groups of 1 channel
void groupNormGradient(CpuContext& context, const KernelCall& call);

/// softmax.cpp: along `axis`, or with `coerced` over everything from it on.
void softmax(CpuContext& context, const KernelCall& call);
void softmaxGradient(CpuContext& context, const KernelCall& call);
void logSoftmax(CpuContext& context, const KernelCall& call);
void logSoftmaxGradient(CpuContext& context, const KernelCall& call);
void hardmax(CpuContext& context, const KernelCall& call);

/// A tensor seen as [outer, extent, inner], `extent` being what a statistic runs over.
struct Lines {
  int64_t outer = 1, extent = 1, inner = 1;
};
Lines linesOf(const Attributes& attributes, const Shape& shape);

}  // namespace meshplan
