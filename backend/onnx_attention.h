// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/host_tensor.h"
#include "core/import/onnx_node.h"

namespace meshplan {

/// Whether ONNX's Attention asks for more than the Attention operator of a graph has: a softcap,
/// a window, lengths of sequences, causality behind past keys, the scores as a result.
bool isRareAttention(const OnnxNode& node);

/// ONNX's Attention (opset 23 and later) in all its forms, in fp64:
/// softmax(softcap(q k' scale) + bias) v, where the bias is minus infinity for what the mask, the
/// window, causality or the lengths exclude; a row without any key gives zeros. Returns y, the
/// present keys and values, and the scores in the form of `qk_matmul_output_mode`. Throws
/// Error(input) for inputs that do not fit.
std::vector<HostTensor> runOnnxAttention(const OnnxNode& node,
                                         const std::vector<const HostTensor*>& inputs);

/// ONNX's RotaryEmbedding (opset 23 and later).
HostTensor runOnnxRotaryEmbedding(const OnnxNode& node,
                                  const std::vector<const HostTensor*>& inputs);

}  // namespace meshplan
