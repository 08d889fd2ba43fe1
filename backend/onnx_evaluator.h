// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/onnx_node.h"

namespace meshplan {

namespace onnx {
class FunctionProto;
class GraphProto;
}  // namespace onnx

/// A graph input without an initialiser, or a graph output.
struct OnnxPort {
  std::string name;
  int code = 0;                   // TensorProto.DataType; 0: not said
  std::vector<std::string> dims;  // an extent, a symbol, or empty
  bool hasShape = false;
  bool isTensor = true;  // not a sequence or an optional value
};

/// Evaluates an ONNX model on the CPU, node by node, exactly as ONNX defines inference: nothing is
/// rewritten, shapes come from the inputs, If, Loop and Scan run as their conditions say.
/// Intermediate tensors are freed after their last use. Throws UnsupportedNode, or Error(input) for
/// inputs that do not fit what the model declares.
class OnnxEvaluator {
 public:
  OnnxEvaluator(const OnnxFileReader& file, int threads);

  const std::vector<OnnxPort>& inputs() const { return inputs_; }
  const std::vector<OnnxPort>& outputs() const { return outputs_; }

  /// Values by the names of inputs; `dims` are sizes that symbolic dimensions must have. Returns
  /// the outputs in the model's order.
  std::vector<HostTensor> run(std::map<std::string, HostTensor> values,
                              const std::map<std::string, int64_t>& dims = {});

  /// Tensors of the main graph by name, those that can be had: initialisers with values and what is
  /// computed from them and from the shapes of inputs alone, which are those of `shapes`' inputs.
  std::map<std::string, HostTensor> constants(const std::set<std::string>& names,
                                              const Graph& shapes);

 private:
  struct Frame;
  using Tensors = std::vector<HostTensor>;

  void checkInputs(const std::map<std::string, HostTensor>& values,
                   std::map<std::string, int64_t> dims) const;
  void evaluate(const onnx::GraphProto& graph, Frame& frame);
  void evaluateNode(const onnx::NodeProto& node, Frame& frame);
  /// Nothing when an input is not there.
  void evaluateIfPossible(const onnx::NodeProto& node, Frame& frame);
  Tensors outputsOf(const onnx::NodeProto& node, Frame& frame);
  Tensors call(const onnx::FunctionProto& function, const onnx::NodeProto& node, Frame& frame);
  Tensors runIf(const onnx::NodeProto& node, Frame& frame);
  Tensors runLoop(const onnx::NodeProto& node, Frame& frame);
  Tensors runScan(const onnx::NodeProto& node, Frame& frame);
  Tensors runBody(const onnx::GraphProto& body, const Frame& outer, Tensors arguments);

  const OnnxFileReader& file_;
  CpuContext cpu_;
  std::vector<OnnxPort> inputs_, outputs_;
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  int depth_ = 0;
};

}  // namespace meshplan
