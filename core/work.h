// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/graph.h"
#include "core/training.h"

namespace meshplan {

/// A matrix product as the hardware sees it: `batch` independent products [m,k] x [k,n]. A
/// convolution is one over its implicit im2col (batch = groups, m = images x output positions, n =
/// output channels, k = input channels x kernel).
struct ContractionShape {
  double batch = 1, m = 1, n = 1, k = 1;
  bool operator==(const ContractionShape&) const = default;
};

/// One attention call: queries [batch, heads, queryLength, headDim] against keys of kvHeads heads.
struct AttentionShape {
  double batch = 1, heads = 1, kvHeads = 1, queryLength = 1, keyLength = 1, headDim = 1,
         valueDim = 1;
  bool causal = false;
  bool flash = true;          // false: scores are materialised in memory
  bool firstFlash = false;    // flash, by FlashAttention's first version
  bool fusedSoftmax = false;  // ... and scaled, masked and normalised by one kernel
  bool dropout = false;       // of the probabilities
  bool operator==(const AttentionShape&) const = default;
};

/// The local work of one operator on one rank: all that a cost model, and a profile's key, needs to
/// know about it.
struct OperatorWork {
  const OperatorDef* def = nullptr;
  Phase phase = Phase::forward;
  DType compute = DType::f32;  // what the matrix units work in
  double flops = 0;            // a multiply-add is 2
  double bytes = 0;            // read and written in device memory, each tensor once
  double outputElements = 0;
  double accumulated = 0;        // bytes of weight gradients: added to in place, or updated from
  int64_t kernels = 1;           // launches; 0: done inside the kernel of a neighbour
  ContractionShape contraction;  // for contractions, convolutions and a step of a recurrent layer
  AttentionShape attention;      // for attention
  double kernelArea = 0;         // kernel positions of an ungrouped convolution of stride 1, else 0
  double strideArea = 1;         // of a convolution: input positions per output position
  double transposedBytes = 0;    // moved where matrix units want a convolution's channels last
  double biasBytes = 0;          // of passes that add a bias, or sum its gradient
  uint64_t signature =
      0;  // hash of the attributes and local types: tells equal amounts of work apart
  bool operator==(const OperatorWork&) const = default;
};

/// Names the work in a profile: equal for equal work, on every machine and in every version.
uint64_t workKey(const OperatorWork& work);

/// The nest of a gradient operator: its forward operator's nest seen through its slots. An axis
/// that no output walks is a reduction.
LoopNest gradientNest(const LoopNest& forward, const Operator& gradient);

/// The matrix product behind a nest with two tensor operands: an axis that both operands and the
/// result walk is a batch axis, one of the result and the first operand belongs to m, of the result
/// and the second to n, any other axis of the operands to k; an axis that only the result walks
/// (kernel positions of a weight gradient) counts as m.
ContractionShape contractionOf(const LoopNest& nest);

/// The work of operator `id`, given its nest with local extents and its local tensor types. For a
/// gradient operator `forwardFlops` is the local FLOPs of its forward operator (ignored otherwise).
OperatorWork workOf(const Graph& graph, OpId id, const LoopNest& nest,
                    std::span<const TensorType> inputs, std::span<const TensorType> outputs,
                    double forwardFlops, Precision precision);

}  // namespace meshplan
