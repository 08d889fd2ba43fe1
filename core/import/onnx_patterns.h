// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "core/import/onnx_rewrite.h"
#include "core/model.h"

namespace meshplan {

/// Finds compositions that exporters write in place of one operator: scaled-dot-product attention,
/// layer and RMS normalisation, Gelu, Silu, and a bias added to a linear layer. `causal` tells
/// which tensors are lower-triangular masks.
Replacements findPatterns(const Graph& graph, const std::function<bool(TensorId)>& causal,
                          const ModelRequest& request, int64_t& attentions);

}  // namespace meshplan
