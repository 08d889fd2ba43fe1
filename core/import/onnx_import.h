// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/model.h"

namespace meshplan {

/// Reads an ONNX file (IR 3 and later, opset 9 and later) as a training graph with a loss:
/// functions inlined, constants folded, attention and other exported compositions recognised,
/// weights as parameters, unknown operators as `Opaque` ones with a warning. Weights are not read.
/// Symbolic dimensions come from `request.dims`. Throws Error(input) naming file, node and remedy.
Model importOnnx(const ModelRequest& request);

/// The same from memory; `request.source` only names it.
Model importOnnxBytes(std::string_view bytes, const ModelRequest& request);

}  // namespace meshplan
