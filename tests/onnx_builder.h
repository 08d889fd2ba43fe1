// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "core/import/onnx.pb.h"
#include "core/model.h"

namespace meshplan {

/// Writes small ONNX models in memory for tests. Attributes are added to the node that was added
/// last.
class OnnxFile {
 public:
  using Dim = std::variant<int64_t, std::string>;  // an extent or a symbol
  using Names = std::vector<std::string>;

  explicit OnnxFile(int64_t opset = 17, int64_t ir = 8);

  OnnxFile& input(const std::string& name, const std::vector<Dim>& dims, int type = 1);
  OnnxFile& output(const std::string& name);
  /// An initialiser whose values are left out.
  OnnxFile& weight(const std::string& name, const std::vector<int64_t>& dims, int type = 1);
  OnnxFile& ints(const std::string& name, const std::vector<int64_t>& values);
  OnnxFile& scalar(const std::string& name, float value);
  OnnxFile& node(const std::string& op, const Names& inputs, const Names& outputs,
                 const std::string& name = {}, const std::string& domain = {});
  OnnxFile& attr(const std::string& name, int64_t value);
  OnnxFile& attr(const std::string& name, double value);
  OnnxFile& attr(const std::string& name, const std::string& value);
  OnnxFile& attr(const std::string& name, const std::vector<int64_t>& values);
  OnnxFile& attr(const std::string& name, const onnx::GraphProto& graph);
  OnnxFile& metadata(const std::string& key, const std::string& value);

  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  onnx::NodeProto& last() { return *graph().mutable_node(graph().node_size() - 1); }
  std::string bytes() const { return model.SerializeAsString(); }
  Model import(const ModelRequest& request = {}) const;

  onnx::ModelProto model;

 private:
  onnx::AttributeProto& add(const std::string& name);
};

/// How many operators of that def a graph has.
int64_t countOf(const Graph& graph, std::string_view def);
/// The only operator of that def; fails the test when there is not exactly one.
const Operator& only(const Graph& graph, std::string_view def);
/// Forward FLOPs of the whole graph.
double totalFlops(const Graph& graph);

}  // namespace meshplan
