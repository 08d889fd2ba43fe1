// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_node.h"

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_names.h"

namespace meshplan {

OnnxNode::OnnxNode(OnnxBuilder& nodeBuilder, const onnx::NodeProto& node, const Scope& nodeScope)
    : builder(nodeBuilder),
      proto(node),
      scope(nodeScope),
      type(node.op_type()),
      name(nodeLabel(node)),
      module(moduleOf(node, nodeScope.module)) {
  for (const std::string& input : node.input()) {
    if (input.empty()) {
      inputs.emplace_back();
      inputs.back().absent = true;
      continue;
    }
    const Value* value = scope.find(input);
    if (!value)
      throw Error(ErrorKind::input, "reads '" + input + "', which nothing produces",
                  "the file is damaged; export the model again");
    inputs.push_back(*value);
  }
  while (!inputs.empty() && inputs.back().absent) inputs.pop_back();
}

const Value& OnnxNode::input(size_t i) const {
  if (!has(i))
    throw Error(ErrorKind::input, type + " lacks input " + std::to_string(i),
                "the file is damaged; export the model again");
  return inputs[i];
}

std::vector<Value> OnnxNode::present() const {
  std::vector<Value> values;
  for (const Value& v : inputs)
    if (!v.absent) values.push_back(v);
  return values;
}

const std::string& OnnxNode::domain() const {
  return proto.domain();
}

bool OnnxNode::outputUsed(size_t i) const {
  return static_cast<int>(i) < proto.output_size() && !proto.output(static_cast<int>(i)).empty();
}

const onnx::AttributeProto* OnnxNode::attribute(std::string_view attributeName) const {
  for (const auto& a : proto.attribute()) {
    if (a.name() != attributeName) continue;
    if (a.ref_attr_name().empty()) return &a;
    const auto actual = scope.actuals.find(a.ref_attr_name());
    return actual == scope.actuals.end() ? nullptr : actual->second;
  }
  return nullptr;
}

int64_t OnnxNode::getInt(std::string_view n, int64_t fallback) const {
  const auto* a = attribute(n);
  return a && a->has_i() ? a->i() : fallback;
}

double OnnxNode::getFloat(std::string_view n, double fallback) const {
  const auto* a = attribute(n);
  return a && a->has_f() ? static_cast<double>(a->f()) : fallback;
}

std::string OnnxNode::getString(std::string_view n, std::string_view fallback) const {
  const auto* a = attribute(n);
  return a && a->has_s() ? a->s() : std::string(fallback);
}

std::vector<int64_t> OnnxNode::getInts(std::string_view n) const {
  const auto* a = attribute(n);
  return a ? std::vector<int64_t>(a->ints().begin(), a->ints().end()) : std::vector<int64_t>();
}

std::vector<double> OnnxNode::getFloats(std::string_view n) const {
  const auto* a = attribute(n);
  return a ? std::vector<double>(a->floats().begin(), a->floats().end()) : std::vector<double>();
}

const onnx::TensorProto* OnnxNode::getTensor(std::string_view n) const {
  const auto* a = attribute(n);
  return a && a->has_t() ? &a->t() : nullptr;
}

const onnx::GraphProto* OnnxNode::getGraph(std::string_view n) const {
  const auto* a = attribute(n);
  return a && a->has_g() ? &a->g() : nullptr;
}

Attributes OnnxNode::plainAttributes() const {
  Attributes result;
  for (const auto& declared : proto.attribute()) {
    const auto* a = attribute(declared.name());
    if (!a) continue;
    const std::string& key = declared.name();
    if (a->has_i())
      result.set(key, a->i());
    else if (a->has_f())
      result.set(key, static_cast<double>(a->f()));
    else if (a->has_s())
      result.set(key, a->s());
    else if (a->ints_size() > 0)
      result.set(key, getInts(key));
    else if (a->floats_size() > 0)
      result.set(key, getFloats(key));
  }
  return result;
}

const SmallTensor& OnnxNode::known(size_t i) const {
  if (const SmallTensor* value = builder.known(input(i))) return *value;
  throw Unplannable{"'" + proto.input(static_cast<int>(i)) + "' is computed from data"};
}

std::vector<int64_t> OnnxNode::knownInts(size_t i) const {
  const SmallTensor& value = known(i);
  std::vector<int64_t> ints;
  for (size_t k = 0; k < value.size(); ++k) ints.push_back(value.integer(k));
  return ints;
}

int64_t OnnxNode::knownInt(size_t i) const {
  const std::vector<int64_t> ints = knownInts(i);
  if (ints.size() != 1)
    throw Error(ErrorKind::input, type + " needs one number as input " + std::to_string(i),
                "export the model again");
  return ints[0];
}

std::vector<int64_t> OnnxNode::intsFrom(size_t i, std::string_view attributeName,
                                        std::vector<int64_t> fallback) const {
  if (has(i)) return knownInts(i);
  return hasAttribute(attributeName) ? getInts(attributeName) : fallback;
}

}  // namespace meshplan
