// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/host_tensor.h"
#include "backend/onnx_file.h"
#include "core/error.h"

namespace meshplan {

namespace onnx {
class AttributeProto;
class NodeProto;
}  // namespace onnx

/// A node that cannot be evaluated: its type is unknown, or this form of it, or an element type,
/// has no kernel.
class UnsupportedNode : public Error {
 public:
  UnsupportedNode(const onnx::NodeProto& node, const std::string& reason, bool unknownType);
  bool unknownType() const { return unknownType_; }

 private:
  bool unknownType_;
};

/// What a node is evaluated with besides its inputs.
struct NodeContext {
  const OnnxFileReader& file;
  CpuContext& cpu;
  int64_t opset = 13;
  /// Attributes of the function call around it.
  const std::map<std::string, const onnx::AttributeProto*>& actuals;
};

/// The outputs of one node without subgraphs, with ONNX's semantics in inference. `inputs` are in
/// the node's order, null where an optional one is left out. The node goes through the same
/// translation as when a model is planned, with the values of small inputs known, and each
/// resulting operator runs as one kernel call; half precision is computed in fp32. Throws
/// UnsupportedNode, or Error(input) for inputs that do not fit.
std::vector<HostTensor> runOnnxNode(const NodeContext& context, const onnx::NodeProto& node,
                                    const std::vector<const HostTensor*>& inputs);

}  // namespace meshplan
