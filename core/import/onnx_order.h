// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace google::protobuf {
template <class T>
class RepeatedPtrField;
}

namespace meshplan {

namespace onnx {
class NodeProto;
}

/// The nodes of a graph or function in an order in which every node follows those it reads from,
/// names captured by subgraphs included; the file's own order where that is one. Throws
/// Error(input) naming a tensor that two nodes produce, or the nodes on a cycle.
std::vector<const onnx::NodeProto*> inOrder(
    const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes);

}  // namespace meshplan
