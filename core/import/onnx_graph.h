// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>
#include <vector>

#include "core/import/onnx_build.h"

namespace meshplan {

namespace onnx {
class GraphProto;
class NodeProto;
}  // namespace onnx

class OnnxNode;

/// Walks graphs, subgraphs and function bodies node by node and adds what they hold to a builder.
/// Functions are inlined; of an If the dearer branch stays connected (by FLOPs, then bytes); bodies
/// of Loop and Scan are added once with their trip count. Errors name the node.
class OnnxGraphImporter {
 public:
  explicit OnnxGraphImporter(OnnxBuilder& builder);

  /// Adds initialisers and nodes; inputs must be in the scope already.
  void importGraph(const onnx::GraphProto& graph, Scope& scope);

  /// The value of a graph output. Throws Error(input) when nothing produces it.
  static Value outputOf(const Scope& scope, const std::string& name);

 private:
  void importNodes(const std::vector<const onnx::NodeProto*>& nodes, Scope& scope);
  void importNode(const onnx::NodeProto& node, Scope& scope);
  std::vector<Value> outputsOf(const onnx::NodeProto& node, Scope& scope);
  std::vector<Value> importOpaque(OnnxNode& node);
  std::vector<Value> callFunction(OnnxNode& node, const onnx::FunctionProto& function);
  std::vector<Value> importIf(OnnxNode& node);
  std::vector<Value> importLoop(OnnxNode& node);
  std::vector<Value> importScan(OnnxNode& node);
  std::vector<Value> stacked(OnnxNode& node, const Value& value, int64_t count);
  Value inBody(const Value& initial);
  Scope childOf(const OnnxNode& node) const;
  int64_t tripCountOf(OnnxNode& node);

  OnnxBuilder& builder_;
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  std::vector<const onnx::FunctionProto*> calling_;
};

}  // namespace meshplan
