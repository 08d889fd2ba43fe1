// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/import/onnx_constants.h"
#include "core/import/onnx_dims.h"
#include "core/model.h"

namespace meshplan {

namespace onnx {
class AttributeProto;
class FunctionProto;
class ModelProto;
class TypeProto;
}  // namespace onnx

/// What an ONNX name stands for while a file is imported: a tensor of the graph, or a constant that
/// becomes one only where an operator really reads it.
struct Value {
  TensorType type;
  TensorId tensor;
  int32_t constant = -1;
  bool causal = false;  // a lower-triangular mask, or made from one
  bool absent = false;  // an optional input that was left out

  bool isConstant() const { return constant >= 0; }
};

/// A weight, a mask, or the result of a computation on constants. A view (transposed, reshaped,
/// cast) of another constant shares its tensor, so that a tied weight stays one parameter.
struct ConstantValue {
  std::string name;
  TensorType type;
  std::optional<SmallTensor> data;
  bool trained = false;  // an initialiser that training changes where its use allows
  std::string origin;    // the tensor of the file whose elements, in this order, these are
  int32_t root = -1;     // the constant this is a view of
  int32_t recipe = -1;   // how to compute it, for a part of a weight
  size_t output = 0;     // which result of the recipe
  TensorId tensor;       // of a root, once an operator read it
};

/// An operator on constants that is added only when something reads a result.
struct Recipe {
  std::string_view def;
  std::vector<Value> inputs;
  Attributes attributes;
  std::string name, module;
  std::vector<Value> outputs;
};

/// What an operator does with an input: multiply or convolve with it (`weight`), add or scale
/// (`elementwise`), or something no training step changes.
enum class Role : uint8_t { weight, elementwise, other };

/// Names and settings of one graph, subgraph or function body.
struct Scope {
  const Scope* parent = nullptr;
  std::unordered_map<std::string, Value> values;
  std::map<std::string, const onnx::AttributeProto*> actuals;        // of a function call
  std::unordered_map<std::string, const onnx::TypeProto*> declared;  // value_info
  std::string module;
  int64_t opset = 13;
  int depth = 0;

  const Value* find(const std::string& name) const;
  const onnx::TypeProto* declaredType(const std::string& name) const;
};

/// Collects the graph under construction. Errors that it throws carry no place; callers add the
/// node.
class OnnxBuilder {
 public:
  OnnxBuilder(const ModelRequest& modelRequest, const onnx::ModelProto& modelProto);

  const ModelRequest& request;
  const onnx::ModelProto& model;
  DimBinder dims;
  Graph graph;
  std::vector<std::string> warnings;
  int64_t repeat = 1;  // trip counts of the enclosing loops
  /// Nodes keep exactly what ONNX defines: nothing is left out, simplified or changed for training,
  /// and tensors may be empty.
  bool inference = false;

  /// A tensor that the graph reads; `data` is what is known of it while nodes are translated.
  Value input(const std::string& name, TensorType type, std::optional<SmallTensor> data);

  Value constant(std::string name, TensorType type, std::optional<SmallTensor> data, bool trained);
  Value constant(SmallTensor data);
  /// The same elements under another type; `sameOrder`: row by row as before.
  Value view(const Value& source, TensorType type, bool sameOrder = true);
  size_t constantCount() const { return constants_.size(); }
  /// Says which tensor of the file a constant is; empty: none.
  void setOrigin(const Value& value, const std::string& name) { at(value).origin = name; }
  /// By the names of the graph's parameters and constants.
  const std::map<std::string, WeightOrigin>& origins() const { return origins_; }
  /// Constants that are computed in the graph once something reads them.
  std::vector<Value> defer(Recipe recipe, const std::vector<TensorType>& types);
  /// The weight that the constants are all parts of, together all of it; nothing otherwise.
  std::optional<Value> wholeOf(const std::vector<Value>& parts) const;
  const ConstantValue& info(const Value& value) const {
    return constants_[static_cast<size_t>(value.constant)];
  }
  /// The values of a small constant or known input, or nullptr.
  const SmallTensor* known(const Value& value) const;
  bool trained(const Value& value) const { return value.isConstant() && info(value).trained; }

  /// Puts a value into the graph: a constant becomes a parameter or a constant tensor by its role.
  TensorId tensorOf(const Value& value, Role role);
  /// As above, but nothing when the root is in the graph already with another type.
  std::optional<TensorId> tensorAsIs(const Value& value, Role role);

  /// Adds an operator that reads the values by the roles that its def implies. Returns its outputs.
  std::vector<Value> add(std::string_view def, const std::vector<Value>& inputs,
                         Attributes attributes, const std::string& name, const std::string& module);
  /// An operator that Meshplan does not know.
  std::vector<Value> addOpaque(const std::string& type, const std::vector<Value>& inputs,
                               const std::vector<TensorType>& outputs, const std::string& name,
                               const std::string& module);

  /// Calls an activation what the file calls it.
  void nameAfter(const Value& value, const std::string& name);

  /// The values behind a small constant tensor of the graph, or nullptr.
  const SmallTensor* knownTensor(TensorId t) const;
  bool causal(TensorId t) const { return t.index() < causal_.size() && causal_[t.index()]; }
  void warnOnce(const std::string& text);
  /// Counts imported nodes; throws Error(input) when functions expand beyond reason.
  void countNode();

 private:
  ConstantValue& at(const Value& value) { return constants_[static_cast<size_t>(value.constant)]; }
  ConstantValue& rootOf(const Value& value);
  void record(Tensor& tensor, const ConstantValue& source);
  void promote(TensorId t, const ConstantValue& c, Role role);
  void materialise(const Value& value, int32_t root);
  TensorId adapt(TensorId root, const TensorType& wanted, const std::string& name);
  void refuseEmpty(const Shape& shape, const std::string& what) const;

  std::vector<ConstantValue> constants_;
  std::vector<Recipe> recipes_;
  std::vector<bool> causal_;
  std::unordered_map<uint32_t, int32_t> roots_;  // tensor to constant
  std::unordered_map<uint32_t, SmallTensor> knownInputs_;
  std::map<std::string, WeightOrigin> origins_;
  int64_t nodes_ = 0;
};

/// Whether an operator makes a mask of which each row sees up to its own position: a triangle, or
/// two ranges of positions compared across rows and columns.
bool makesCausalMask(std::string_view def, const std::vector<TensorType>& inputs);

/// The role of input `index` of an operator.
Role roleOf(const OperatorDef& def, size_t index);

}  // namespace meshplan
