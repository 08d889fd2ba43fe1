// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_build.h"

#include <algorithm>

#include "core/error.h"
#include "core/import/onnx_reader.h"

namespace meshplan {
namespace {

constexpr int64_t kMaxNodes = 200'000;

int64_t longDims(const Shape& shape) {
  return std::count_if(shape.begin(), shape.end(), [](int64_t d) { return d > 1; });
}

/// Scales vary along one dimension and added weights (biases, positions) along two at most; what
/// varies along more, or is square behind others, is a mask or a table of sines.
bool mayTrain(std::string_view def, const Shape& shape) {
  const size_t rank = shape.size();
  if (def == "Mul") return longDims(shape) <= 1;
  if (def != "Add" && def != "Sum" && def != "Sub") return true;
  const bool square = rank >= 3 && shape[rank - 1] == shape[rank - 2] && shape[rank - 1] > 1;
  return longDims(shape) <= 2 && !square;
}

/// Which dimension of `from` each dimension of `to` is, by extents; empty when there is no such
/// permutation.
std::vector<int64_t> permutationBetween(const Shape& from, const Shape& to) {
  std::vector<int64_t> perm;
  std::vector<bool> used(from.size());
  for (int64_t extent : to) {
    size_t i = 0;
    while (i < from.size() && (used[i] || from[i] != extent)) ++i;
    if (i == from.size()) return {};
    used[i] = true;
    perm.push_back(static_cast<int64_t>(i));
  }
  return perm.size() == from.size() ? perm : std::vector<int64_t>();
}

}  // namespace

const Value* Scope::find(const std::string& name) const {
  for (const Scope* s = this; s; s = s->parent)
    if (const auto it = s->values.find(name); it != s->values.end()) return &it->second;
  return nullptr;
}

const onnx::TypeProto* Scope::declaredType(const std::string& name) const {
  const auto it = declared.find(name);
  return it == declared.end() ? nullptr : it->second;
}

Role roleOf(const OperatorDef& def, size_t index) {
  switch (def.opClass) {
    case OpClass::contraction:
    case OpClass::convolution:
    case OpClass::recurrent:
      return Role::weight;
    case OpClass::normalization:
      return index >= 1 && !(def.name == "BatchNormalization" && index >= 3) ? Role::weight
                                                                             : Role::other;
    case OpClass::embedding:
      return index == 1 ? Role::weight : Role::other;
    case OpClass::movement:
      return def.name == "Gather" && index == 0 ? Role::weight : Role::elementwise;
    case OpClass::view:
      return Role::elementwise;
    default:
      break;
  }
  const bool scales = def.name == "Add" || def.name == "Mul" || def.name == "Sum" ||
                      (def.name == "Sub" && index == 0);
  if (def.name == "PRelu" && index == 1) return Role::weight;
  return scales ? Role::elementwise : Role::other;
}

bool makesCausalMask(std::string_view def, const std::vector<TensorType>& in) {
  if (def == "Trilu") return true;
  const bool compares =
      def == "Less" || def == "LessOrEqual" || def == "Greater" || def == "GreaterOrEqual";
  if (!compares || isFloating(in[0].dtype)) return false;
  const auto isColumn = [](const Shape& s) {
    return s.size() >= 2 && s.back() == 1 && s[s.size() - 2] > 1;
  };
  const auto isRow = [](const Shape& s) {
    return !s.empty() && s.back() > 1 && (s.size() < 2 || s[s.size() - 2] == 1);
  };
  return (isColumn(in[0].shape) && isRow(in[1].shape)) ||
         (isRow(in[0].shape) && isColumn(in[1].shape));
}

OnnxBuilder::OnnxBuilder(const ModelRequest& modelRequest, const onnx::ModelProto& modelProto)
    : request(modelRequest), model(modelProto), dims(modelRequest) {}

Value OnnxBuilder::constant(std::string name, TensorType type, std::optional<SmallTensor> data,
                            bool trained) {
  Value value{type, {}, static_cast<int32_t>(constants_.size())};
  constants_.push_back(
      {std::move(name), std::move(type), std::move(data), trained, {}, -1, -1, 0, {}});
  return value;
}

Value OnnxBuilder::constant(SmallTensor data) {
  TensorType type = data.type;
  return constant({}, std::move(type), std::move(data), false);
}

Value OnnxBuilder::view(const Value& source, TensorType type, bool sameOrder) {
  const ConstantValue from = info(source);
  Value value = constant(from.name, std::move(type), std::nullopt, from.trained);
  at(value).root = from.root >= 0 ? from.root : source.constant;
  if (sameOrder) at(value).origin = from.origin;
  value.causal = source.causal;
  return value;
}

const SmallTensor* OnnxBuilder::known(const Value& value) const {
  if (value.isConstant()) return info(value).data ? &*info(value).data : nullptr;
  const auto it = knownInputs_.find(value.tensor.value);
  return it == knownInputs_.end() ? nullptr : &it->second;
}

Value OnnxBuilder::input(const std::string& name, TensorType type,
                         std::optional<SmallTensor> data) {
  Value value{type, graph.addInput(name, type, -1)};
  causal_.resize(graph.tensorCount());
  if (data) knownInputs_.emplace(value.tensor.value, std::move(*data));
  return value;
}

void OnnxBuilder::refuseEmpty(const Shape& shape, const std::string& what) const {
  if (inference || std::find(shape.begin(), shape.end(), 0) == shape.end()) return;
  throw Error(ErrorKind::input, what + " has no elements: " + shapeText(shape),
              "dimensions must be 1 or more");
}

ConstantValue& OnnxBuilder::rootOf(const Value& value) {
  ConstantValue& c = at(value);
  return c.root >= 0 ? constants_[static_cast<size_t>(c.root)] : c;
}

void OnnxBuilder::promote(TensorId t, const ConstantValue& c, Role role) {
  Tensor& tensor = graph.tensor(t);
  const bool trains = role == Role::weight || (role == Role::elementwise && c.trained);
  if (tensor.kind == TensorKind::constant && trains && isFloating(tensor.type.dtype) && !causal(t))
    tensor.kind = TensorKind::parameter;
}

void OnnxBuilder::materialise(const Value& value, int32_t root) {
  const ConstantValue c = constants_[static_cast<size_t>(root)];
  if (c.recipe >= 0) {
    const Recipe recipe = recipes_[static_cast<size_t>(c.recipe)];
    const auto made = add(recipe.def, recipe.inputs, recipe.attributes, recipe.name, recipe.module);
    for (size_t i = 0; i < recipe.outputs.size(); ++i)
      at(recipe.outputs[i]).tensor = made[i].tensor;
    return;
  }
  refuseEmpty(value.type.shape, "'" + c.name + "'");
  checkShape(value.type.shape);
  value.type.bytes();
  Tensor tensor;
  tensor.name = c.name.empty() ? "constant_" + std::to_string(value.constant) : c.name;
  tensor.type = value.type;
  tensor.kind = TensorKind::constant;
  record(tensor, at(value));
  const TensorId t = graph.addTensor(std::move(tensor));
  constants_[static_cast<size_t>(root)].tensor = t;
  roots_[t.value] = root;
  causal_.resize(graph.tensorCount());
  causal_[t.index()] = value.causal;
}

/// Tensors are found again by their names, which therefore must differ.
void OnnxBuilder::record(Tensor& tensor, const ConstantValue& source) {
  const std::string name = tensor.name;
  for (int i = 2; origins_.count(tensor.name) > 0; ++i)
    tensor.name = name + "." + std::to_string(i);
  WeightOrigin origin{source.origin, {}};
  for (size_t i = 0; source.data && i < source.data->size(); ++i)
    origin.values.push_back(source.data->number(i));
  origins_.emplace(tensor.name, std::move(origin));
}

std::optional<TensorId> OnnxBuilder::tensorAsIs(const Value& value, Role role) {
  if (!value.isConstant()) return value.tensor;
  if (!rootOf(value).tensor.valid())
    materialise(value, at(value).root >= 0 ? at(value).root : value.constant);
  const ConstantValue& root = rootOf(value);
  if (graph.tensor(root.tensor).type != value.type) return std::nullopt;
  promote(root.tensor, root, role);
  return root.tensor;
}

std::vector<Value> OnnxBuilder::defer(Recipe recipe, const std::vector<TensorType>& types) {
  for (size_t i = 0; i < types.size(); ++i) {
    Value value = constant(recipe.name, types[i], std::nullopt, true);
    at(value).recipe = static_cast<int32_t>(recipes_.size());
    at(value).output = i;
    recipe.outputs.push_back(value);
  }
  recipes_.push_back(recipe);
  return recipe.outputs;
}

std::optional<Value> OnnxBuilder::wholeOf(const std::vector<Value>& parts) const {
  std::optional<Value> whole;
  int64_t elements = 0;
  for (const Value& part : parts) {
    if (!part.isConstant() || info(part).recipe < 0) return std::nullopt;
    const Recipe& recipe = recipes_[static_cast<size_t>(info(part).recipe)];
    if (recipe.def != "Slice" && recipe.def != "Split") return std::nullopt;
    if (whole && whole->constant != recipe.inputs[0].constant) return std::nullopt;
    whole = recipe.inputs[0];
    elements += part.type.elements();
  }
  return whole && whole->type.elements() == elements ? whole : std::nullopt;
}

TensorId OnnxBuilder::tensorOf(const Value& value, Role role) {
  if (const auto tensor = tensorAsIs(value, role)) return *tensor;
  const ConstantValue& root = rootOf(value);
  promote(root.tensor, root, role);
  return adapt(root.tensor, value.type, root.name);
}

/// A second view of a weight, made by the operator that changes one into the other.
TensorId OnnxBuilder::adapt(TensorId root, const TensorType& wanted, const std::string& name) {
  TensorId t = root;
  if (graph.tensor(t).type.dtype != wanted.dtype)
    t = graph.output(graph.addOperator("Cast", {t}, {{"to", std::string(dtypeName(wanted.dtype))}},
                                       name + ".cast"));
  const Shape shape = graph.tensor(t).type.shape;
  if (shape == wanted.shape) return t;
  const std::vector<int64_t> perm = permutationBetween(shape, wanted.shape);
  const OpId op = perm.empty()
                      ? graph.addOperator("Reshape", {t}, {{"shape", wanted.shape}}, name + ".view")
                      : graph.addOperator("Transpose", {t}, {{"perm", perm}}, name + ".transposed");
  return graph.output(op);
}

std::vector<Value> OnnxBuilder::add(std::string_view name, const std::vector<Value>& inputs,
                                    Attributes attributes, const std::string& opName,
                                    const std::string& module) {
  const OperatorDef& def = operatorDef(name);
  std::vector<TensorId> tensors;
  std::vector<TensorType> types;
  for (const Value& v : inputs) types.push_back(v.type);
  const bool makesMask = makesCausalMask(name, types);
  bool fromCausal = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Role role = roleOf(def, i);
    const Shape& shape = inputs[i].type.shape;
    if (role == Role::elementwise && !mayTrain(name, shape)) role = Role::other;
    if (def.opClass == OpClass::recurrent && i >= 3 && shape.size() == 3) role = Role::other;
    tensors.push_back(tensorOf(inputs[i], role));
    fromCausal = fromCausal || causal(tensors.back());
  }
  const OpId id = graph.addOperator(name, tensors, std::move(attributes), opName, module);
  graph.op(id).repeat = repeat;
  const bool keeps = def.opClass == OpClass::elementwise || def.opClass == OpClass::view ||
                     def.opClass == OpClass::movement;
  std::vector<Value> outputs;
  for (TensorId t : graph.op(id).outputs) {
    const TensorType& type = graph.tensor(t).type;
    refuseEmpty(type.shape, "the result");
    checkShape(type.shape);
    type.bytes();
    outputs.push_back({type, t});
    outputs.back().causal = (keeps && fromCausal) || makesMask;
  }
  causal_.resize(graph.tensorCount());
  for (const Value& v : outputs) causal_[v.tensor.index()] = v.causal;
  return outputs;
}

std::vector<Value> OnnxBuilder::addOpaque(const std::string& type, const std::vector<Value>& inputs,
                                          const std::vector<TensorType>& outputs,
                                          const std::string& name, const std::string& module) {
  Operator op;
  op.def = &operatorDef("Opaque");
  op.repeat = repeat;
  op.name = name;
  op.module = module;
  op.attributes.set("type", type);
  for (const Value& v : inputs) op.inputs.push_back(tensorOf(v, Role::weight));
  std::vector<Value> results;
  for (size_t i = 0; i < outputs.size(); ++i) {
    checkShape(outputs[i].shape);
    Tensor tensor;
    tensor.name = name + ":" + std::to_string(i);
    tensor.type = outputs[i];
    results.push_back({outputs[i], graph.addTensor(std::move(tensor))});
    op.outputs.push_back(results.back().tensor);
  }
  graph.addOperator(std::move(op));
  causal_.resize(graph.tensorCount());
  return results;
}

const SmallTensor* OnnxBuilder::knownTensor(TensorId t) const {
  const auto it = roots_.find(t.value);
  if (it == roots_.end()) return nullptr;
  const ConstantValue& c = constants_[static_cast<size_t>(it->second)];
  return c.data ? &*c.data : nullptr;
}

void OnnxBuilder::nameAfter(const Value& value, const std::string& name) {
  if (value.isConstant() || value.absent) return;
  Tensor& tensor = graph.tensor(value.tensor);
  if (tensor.kind == TensorKind::activation) tensor.name = name;
}

void OnnxBuilder::warnOnce(const std::string& text) {
  constexpr size_t kMost = 30;
  if (warnings.size() > kMost) return;
  if (std::find(warnings.begin(), warnings.end(), text) != warnings.end()) return;
  warnings.push_back(warnings.size() < kMost ? text : "more warnings of this kind are left out");
}

void OnnxBuilder::countNode() {
  if (++nodes_ > kMaxNodes)
    throw Error(ErrorKind::input,
                "the model has more than " + std::to_string(kMaxNodes) +
                    " nodes once its functions are expanded",
                "simplify the model before importing it");
}

}  // namespace meshplan
