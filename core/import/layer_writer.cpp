// SPDX-License-Identifier: Apache-2.0
#include "core/import/layer_writer.h"

namespace meshplan {
namespace {

constexpr int64_t kMostBytesPerElement =
    64;  // weight, gradient, optimizer state, and room for sums

}  // namespace

int64_t LayerWriter::extent(TensorId x, int dim) const {
  const Shape& shape = graph_.tensor(x).type.shape;
  return shape.at(static_cast<size_t>(dim < 0 ? dim + static_cast<int>(shape.size()) : dim));
}

TensorId LayerWriter::parameter(const std::string& name, Shape shape) {
  checkedMul(elementCount(shape), kMostBytesPerElement);  // refuses what overflows
  return graph_.addParameter(name, {DType::f32, std::move(shape)});
}

TensorId LayerWriter::add(std::string_view def, std::vector<TensorId> inputs, Attributes attributes,
                          const std::string& module, const std::string& name) {
  return graph_.output(graph_.addOperator(def, std::move(inputs), std::move(attributes),
                                          joinNames(module, name), module));
}

TensorId LayerWriter::linear(TensorId x, int64_t outFeatures, LinearOptions options,
                             const std::string& module, const std::string& name) {
  const std::string full = joinNames(module, name);
  std::vector<TensorId> inputs{x, parameter(full + ".weight", {extent(x, -1), outFeatures})};
  if (options.bias) inputs.push_back(parameter(full + ".bias", {outFeatures}));
  Attributes attributes;
  if (options.outBlock > 1) attributes.set("out_block", options.outBlock);
  if (options.inBlock > 1) attributes.set("in_block", options.inBlock);
  return add("Linear", std::move(inputs), std::move(attributes), module, name);
}

TensorId LayerWriter::layerNorm(TensorId x, const std::string& module, const std::string& name) {
  const std::string full = joinNames(module, name);
  const TensorId scale = parameter(full + ".weight", {extent(x, -1)});
  const TensorId shift = parameter(full + ".bias", {extent(x, -1)});
  return add("LayerNormalization", {x, scale, shift}, {}, module, name);
}

TensorId LayerWriter::rmsNorm(TensorId x, const std::string& module, const std::string& name) {
  const TensorId scale = parameter(joinNames(module, name) + ".weight", {extent(x, -1)});
  return add("RMSNormalization", {x, scale}, {}, module, name);
}

TensorId LayerWriter::dropout(TensorId x, double ratio, const std::string& module,
                              const std::string& name) {
  return ratio > 0 ? add("Dropout", {x}, {{"ratio", ratio}}, module, name) : x;
}

TensorId LayerWriter::embedding(TensorId ids, TensorId table, const std::string& module,
                                const std::string& name) {
  return add("Embedding", {ids, table}, {}, module, name);
}

TensorId LayerWriter::headWeight(TensorId table, bool tied) {
  return tied ? table : parameter("lm_head.weight", {extent(table, 1), extent(table, 0)});
}

TensorId LayerWriter::head(TensorId x, TensorId weight, bool tied, const std::string& module,
                           const std::string& name) {
  return add("Linear", {x, weight}, tied ? Attributes{{"transposed", int64_t{1}}} : Attributes{},
             module, name);
}

void LayerWriter::loss(TensorId logits, TensorId labels, const std::string& module,
                       const std::string& name, const Attributes& attributes) {
  graph_.outputs().push_back(add("CrossEntropy", {logits, labels}, attributes, module, name));
}

}  // namespace meshplan
