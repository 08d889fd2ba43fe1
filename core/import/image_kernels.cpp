// SPDX-License-Identifier: Apache-2.0
#include "core/import/image_kernels.h"

#include "core/error.h"

namespace meshplan {
namespace {

void setLayout(Graph& graph, const std::string& layout) {
  if (layout != "NCHW" && layout != "NHWC")
    throw Error(ErrorKind::usage, "layout is '" + layout + "'", "it is NCHW or NHWC");
  for (size_t i = 0; i < graph.operatorCount(); ++i)
    if (graph.op(OpId(i)).def->opClass == OpClass::convolution)
      graph.op(OpId(i)).attributes.set("layout", layout);
}

const Operator* producerOf(const Graph& graph, TensorId t) {
  const OpId id = graph.tensor(t).producer;
  return id.valid() ? &graph.op(id) : nullptr;
}

/// The sum's operand from the normalisation comes first: it is the one that is not read.
void fuse(Graph& graph, bool (*into)(const Operator&)) {
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    Operator& op = graph.op(OpId(i));
    if (op.def->name != "Relu" && op.def->name != "Add") continue;
    const Operator* before = producerOf(graph, op.inputs[0]);
    if (before && into(*before)) op.attributes.set("fused", int64_t{1});
  }
}

bool isNormalisation(const Operator& op) {
  return op.def->name == "BatchNormalization" || op.attributes.getInt("fused", 0) != 0;
}

bool isSum(const Operator& op) {
  return op.def->name == "Add";
}

void setFusion(Graph& graph, const std::string& value) {
  if (value == "on") return fuse(graph, isNormalisation);
  if (value == "elementwise") return fuse(graph, isSum);
  if (value != "off")
    throw Error(ErrorKind::usage, "fused is '" + value + "'", "it is on, elementwise or off");
}

}  // namespace

void applyImageSettings(Graph& graph, const std::string& model,
                        const std::map<std::string, std::string>& settings) {
  for (const auto& [key, value] : settings) {
    if (key == "layout")
      setLayout(graph, value);
    else if (key == "fused")
      setFusion(graph, value);
    else
      throw Error(ErrorKind::usage, "'" + model + "' has no setting '" + key + "'",
                  "convolutional networks have layout and fused");
  }
}

}  // namespace meshplan
