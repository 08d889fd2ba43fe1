// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"
#include "backend/optimizer.h"

namespace meshplan {

/// Updates weights, states and master weights in one pass over memory: 28 bytes per parameter for
/// Adam in fp32. As in PyTorch (torch.optim.SGD, Adam and AdamW, not amsgrad):
///   sgd       w -= lr g
///   momentum  m = momentum m + g;  w -= lr m
///   adam      m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2
///             w -= lr / (1 - beta1^step)  m / (sqrt(v / (1 - beta2^step)) + epsilon)
///   adamw     w -= lr decay w, then as adam
/// where g has decay x w added but for adamw. Computed in fp32, for fp64 weights in fp64. Throws
/// Error(runtime) for dtypes that ParameterUpdate does not name.
void updateParameters(const CpuContext& context, const OptimizerSettings& settings,
                      const ParameterUpdate& update);

}  // namespace meshplan
