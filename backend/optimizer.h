// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "core/training.h"

namespace meshplan {

/// How weights follow from gradients, with PyTorch's defaults and formulas
/// (docs.pytorch.org/docs/stable/optim.html). `step` counts from 1.
struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::adamw;
  double learningRate = 1e-3;
  double momentum = 0.9;              // of momentum
  double beta1 = 0.9, beta2 = 0.999;  // of adam and adamw
  double epsilon = 1e-8;              // of adam and adamw
  double weightDecay = 0;             // decoupled for adamw, else added to the gradient
  int64_t step = 1;
};

/// One update of `count` elements. Weights are fp32, fp64 or bf16; the gradient fp32, fp64 or bf16;
/// states and master weights (null: the weights are their own) fp32, or fp64 for fp64 weights.
struct ParameterUpdate {
  void* weights = nullptr;
  DType weightsType = DType::f32;
  const void* gradient = nullptr;
  DType gradientType = DType::f32;
  void* states[2] = {nullptr, nullptr};
  void* master = nullptr;
  int64_t count = 0;
};

}  // namespace meshplan
