// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

namespace onnx {
class NodeProto;
}

/// What messages call a node: its name, else its type and first output.
std::string nodeLabel(const onnx::NodeProto& node);

/// The module a node belongs to: the exporter's `pkg.torch.onnx.name_scopes`, else a scoped node
/// name ("/model/layers.0/self_attn/q_proj/MatMul" is "model.layers.0.self_attn.q_proj"), else
/// `enclosing`, the module of the function call or subgraph around it.
std::string moduleOf(const onnx::NodeProto& node, const std::string& enclosing);

/// The strings of a Python list of strings as `repr` writes it; empty for anything else.
std::vector<std::string> parsePythonList(std::string_view text);

}  // namespace meshplan
