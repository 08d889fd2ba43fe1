// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/tensor.h"

namespace meshplan {

/// fp64: everything in fp64, to tell rounding from mistakes. fp32: everything in fp32 (no tensor
/// cores before Ampere's tf32). tf32: fp32 storage, tf32 matrix products. bf16 and fp16:
/// activations, weights and activation gradients in 16 bits, weight gradients accumulated in
/// `gradientDType`, fp32 master weights and optimizer state.
enum class Precision : uint8_t { fp32, tf32, bf16, fp16, fp64 };
enum class OptimizerKind : uint8_t { sgd, momentum, adam, adamw };
/// The software that issues the step to the devices; what that costs its host is in
/// planner/runtime_parameters.h. pytorch: eager modules; megatron: Megatron-LM's and DeepSpeed's
/// modules on PyTorch, as of 2020 to 2022; megatronCore: Megatron-Core with Transformer Engine;
/// native: an instruction list, or captured graphs, without cost.
enum class RuntimeKind : uint8_t { pytorch, megatron, megatronCore, native };

struct TrainingOptions {
  Precision precision = Precision::bf16;
  OptimizerKind optimizer = OptimizerKind::adamw;
  /// Of the accumulated weight gradients under mixed precision; fp32 otherwise.
  DType gradientDType = DType::f32;
  RuntimeKind runtime = RuntimeKind::pytorch;
};

bool isMixed(Precision p);
/// What optimizer state is kept in, and master weights under mixed precision: fp32, under fp64
/// fp64.
DType stateDType(Precision p);
/// The dtype activations and weights are stored in, and the one matrix units work in.
DType storageDType(Precision p);
DType computeDType(Precision p);
/// optimizer-state tensors per parameter: sgd 0, momentum 1, adam and adamw 2.
int optimizerStates(OptimizerKind k);

std::string_view precisionName(Precision p);
std::string_view optimizerName(OptimizerKind k);
std::string_view runtimeName(RuntimeKind k);
/// Throw Error(usage) naming the choices.
Precision parsePrecision(std::string_view name);
OptimizerKind parseOptimizer(std::string_view name);
RuntimeKind parseRuntime(std::string_view name);
/// "fp32", "bf16" or "fp16", as TrainingOptions::gradientDType.
DType parseGradientDType(std::string_view name);
std::string_view gradientName(DType t);

}  // namespace meshplan
