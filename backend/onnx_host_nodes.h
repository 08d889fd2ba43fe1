// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/host_tensor.h"
#include "backend/onnx_file.h"
#include "core/import/onnx_node.h"

namespace meshplan {

/// The outputs of a node that is no operator of a graph, because its result depends on more than
/// the types of its inputs or because only inference knows it: constants, ranges, what the values
/// of an input select (NonZero, Compress, ReverseSequence, OneHot), rare attention, quantisation.
/// Nothing for any other type. Throws Unplannable for random numbers.
std::vector<HostTensor> runHostNode(const OnnxFileReader& file, OnnxNode& node,
                                    const std::vector<const HostTensor*>& inputs);

/// Small tensors as the importer follows them, and back.
std::optional<SmallTensor> smallFrom(const HostTensor& tensor);
HostTensor hostFrom(const SmallTensor& tensor);

}  // namespace meshplan
