// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/host_tensor.h"
#include "core/import/onnx_node.h"

namespace meshplan {

/// ONNX's QuantizeLinear and DequantizeLinear between floating point and int8, uint8 and int32,
/// with one scale for all elements, one per index of an axis, or one per block along it. Throws
/// Unplannable for other integers, and Error(input) for scales that do not fit.
HostTensor quantizeLinear(const OnnxNode& node, const std::vector<const HostTensor*>& inputs);
HostTensor dequantizeLinear(const OnnxNode& node, const std::vector<const HostTensor*>& inputs);

}  // namespace meshplan
