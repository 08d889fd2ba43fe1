// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/graph.h"
#include "core/training.h"

namespace meshplan {

/// A matrix product as the hardware sees it: `batch` independent products [m,k] x [k,n]. A convolution is one over its
/// implicit im2col (batch = groups, m = images x output positions, n = output channels, k = input channels x kernel).
struct ContractionShape {
  double batch = 1, m = 1, n = 1, k = 1;
};

/// One attention call: queries [batch, heads, queryLength, headDim] against keys of kvHeads heads.
struct AttentionShape {
  double batch = 1, heads = 1, kvHeads = 1, queryLength = 1, keyLength = 1, headDim = 1, valueDim = 1;
  bool causal = false;
  bool flash = true;  // false: scores are materialised in memory
};

/// The local work of one operator on one rank: all that a cost model, and a profile's key, needs to know about it.
struct OperatorWork {
  const OperatorDef* def = nullptr;
  Phase phase = Phase::forward;
  DType compute = DType::f32;  // what the matrix units work in
  double flops = 0;            // a multiply-add is 2
  double bytes = 0;            // read and written in device memory, each tensor once
  double outputElements = 0;
  int64_t kernels = 1;  // launches
  ContractionShape contraction;  // for contractions and convolutions
  AttentionShape attention;      // for attention
};

/// The nest of any operator: the def's own for a forward one; for a gradient operator the forward nest seen through its
/// slots, where an axis that no output walks is a reduction.
LoopNest nestOf(const Graph& graph, OpId id);

/// The work of operator `id` with the given local tensor types (in the order of its inputs and outputs). For a gradient
/// operator `forwardInputs` and `forwardOutputs` are the local types of its forward operator, else empty.
OperatorWork workOf(const Graph& graph, OpId id, std::span<const TensorType> inputs,
                    std::span<const TensorType> outputs, std::span<const TensorType> forwardInputs,
                    std::span<const TensorType> forwardOutputs, Precision precision);

}  // namespace meshplan
