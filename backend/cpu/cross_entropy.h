// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Cross-entropy of integer labels, mean over all rows of the whole batch, in parts, so that ranks
/// that hold parts of the vocabulary can share what they need (as Megatron-LM's
/// vocabulary-parallel loss does). The whole loss is the same code with one rank.
///
/// Statistics are [ranks, rows..., 3] of fp32 (fp64 for fp64 logits): per row the maximum of the
/// rank's logits, the sum of e^(logit - maximum), and the label's logit or -infinity where the
/// label lies in another rank's part. `call` is the operator's (logits, labels) or its gradient's;
/// its axes say where the local vocabulary begins. A label outside the whole vocabulary throws
/// Error(runtime).

/// This rank's statistics, [1, rows..., 3].
void crossEntropyStatistics(CpuContext& context, const KernelCall& call,
                            const TensorView& statistics);

/// The loss of the local rows, over the number of rows of the whole batch, to call.outputs[0].
void crossEntropyLoss(CpuContext& context, const KernelCall& call, const TensorView& statistics);

/// (softmax - one at the label) x lossScale / whole rows, of the local logits.
void crossEntropyGradient(CpuContext& context, const KernelCall& call,
                          const TensorView& statistics);

}  // namespace meshplan
