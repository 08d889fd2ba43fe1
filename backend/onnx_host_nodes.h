// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/host_tensor.h"
#include "backend/onnx_file.h"
#include "core/import/onnx_node.h"

namespace meshplan {

/// The value of a node whose result depends on more than the types of its inputs, so that it is no
/// operator of a graph: constants, ranges, and what the values of an input select (NonZero,
/// Compress, ReverseSequence, OneHot). Nothing for any other type.
std::optional<HostTensor> runHostNode(const OnnxFileReader& file, OnnxNode& node,
                                      const std::vector<const HostTensor*>& inputs);

/// Small tensors as the importer follows them, and back.
std::optional<SmallTensor> smallFrom(const HostTensor& tensor);
HostTensor hostFrom(const SmallTensor& tensor);

}  // namespace meshplan
