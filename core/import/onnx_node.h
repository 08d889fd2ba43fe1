// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/import/onnx_build.h"

namespace meshplan {

namespace onnx {
class GraphProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

/// Why a node cannot be planned exactly (a value that decides shapes is computed from data, a rare
/// form of an operator): it becomes an `Opaque` operator.
struct Unplannable {
  std::string reason;
};

/// One ONNX node while it is imported: its inputs as values and its attributes with the references
/// of an enclosing function resolved. Getters of values that must be constant throw Unplannable.
class OnnxNode {
 public:
  OnnxNode(OnnxBuilder& nodeBuilder, const onnx::NodeProto& node, const Scope& nodeScope);

  OnnxBuilder& builder;
  const onnx::NodeProto& proto;
  const Scope& scope;
  std::string type, name, module;
  std::vector<Value> inputs;  // absent optional ones included

  bool has(size_t i) const { return i < inputs.size() && !inputs[i].absent; }
  /// Throws Error(input) when the input is missing.
  const Value& input(size_t i) const;
  const Shape& shape(size_t i) const { return input(i).type.shape; }
  int64_t rank(size_t i) const { return static_cast<int64_t>(shape(i).size()); }
  /// All inputs that are present.
  std::vector<Value> present() const;
  bool outputUsed(size_t i) const;
  int64_t opset() const { return scope.opset; }
  const std::string& domain() const;

  const onnx::AttributeProto* attribute(std::string_view attributeName) const;
  bool hasAttribute(std::string_view n) const { return attribute(n) != nullptr; }
  int64_t getInt(std::string_view n, int64_t fallback) const;
  double getFloat(std::string_view n, double fallback) const;
  std::string getString(std::string_view n, std::string_view fallback) const;
  std::vector<int64_t> getInts(std::string_view n) const;
  std::vector<double> getFloats(std::string_view n) const;
  const onnx::TensorProto* getTensor(std::string_view n) const;
  const onnx::GraphProto* getGraph(std::string_view n) const;
  /// Numbers and strings as they stand in the file.
  Attributes plainAttributes() const;

  /// The values of a constant input.
  const SmallTensor& known(size_t i) const;
  std::vector<int64_t> knownInts(size_t i) const;
  int64_t knownInt(size_t i) const;
  /// An input that older opsets have as an attribute; the fallback when neither is there.
  std::vector<int64_t> intsFrom(size_t input, std::string_view attributeName,
                                std::vector<int64_t> fallback = {}) const;

  std::vector<Value> add(std::string_view def, const std::vector<Value>& in,
                         Attributes attributes = {}) const {
    return builder.add(def, in, std::move(attributes), name, module);
  }
};

/// Whether nodes of that type of ONNX's own domain are known, If, Loop and Scan included.
bool knowsNode(std::string_view type);

/// The outputs of a node of ONNX's own domain or a known contrib one, as canonical operators or as
/// a constant; nothing when the type is unknown.
std::optional<std::vector<Value>> importKnownNode(OnnxNode& node);

}  // namespace meshplan
