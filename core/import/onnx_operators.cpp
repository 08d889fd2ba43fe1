// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "core/import/onnx_translate.h"

namespace meshplan {
namespace {

bool isView(std::string_view def) {
  for (std::string_view name :
       {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Identity"})
    if (def == name) return true;
  return false;
}

std::vector<TensorType> typesOf(const std::vector<Value>& values) {
  std::vector<TensorType> types;
  for (const Value& v : values) types.push_back(v.type);
  return types;
}

/// Known values of all inputs, or nothing.
std::vector<const SmallTensor*> knownValues(const OnnxBuilder& builder,
                                            const std::vector<Value>& values) {
  std::vector<const SmallTensor*> known;
  for (const Value& v : values)
    if (const SmallTensor* data = builder.known(v)) known.push_back(data);
  if (known.size() != values.size()) known.clear();
  return known;
}

/// Whether a computation uses each weight among its inputs whole and once, so that its result can
/// stand for them.
bool conserves(const OnnxBuilder& builder, const std::vector<Value>& inputs,
               const std::vector<TensorType>& outputs) {
  int64_t total = 0, largest = 0, made = 0;
  for (const Value& v : inputs) {
    if (!builder.trained(v) || !isFloating(v.type.dtype)) continue;
    total += v.type.elements();
    largest = std::max(largest, v.type.elements());
  }
  for (const TensorType& t : outputs) made += t.elements();
  return total <= 1 || made == total || made == largest;
}

/// A constant made from others: it trains when a weight among them does, and stays a causal mask.
Value derived(OnnxNode& node, const Canonical& c, TensorType type,
              std::optional<SmallTensor> data) {
  bool trained = false, causal = makesCausalMask(c.def, typesOf(c.inputs));
  for (const Value& v : c.inputs) {
    trained = trained || (node.builder.trained(v) && isFloating(v.type.dtype));
    causal = causal || v.causal;
  }
  Value value = node.builder.constant(node.name, std::move(type), std::move(data), trained);
  value.causal = causal;
  return value;
}

std::vector<Value> asConstants(OnnxNode& node, const Canonical& c,
                               const std::vector<TensorType>& types) {
  std::vector<Value> values;
  for (const TensorType& type : types) values.push_back(derived(node, c, type, std::nullopt));
  return values;
}

std::optional<std::vector<Value>> foldKnown(OnnxNode& node, const Canonical& c) {
  const auto known = knownValues(node.builder, c.inputs);
  if (known.empty()) return std::nullopt;
  auto data = foldSmall(c.def, c.attributes, known);
  if (!data) return std::nullopt;
  const TensorType type = data->type;
  return std::vector<Value>{derived(node, c, type, std::move(data))};
}

const Translation* findIn(std::span<const Translation> table, std::string_view type) {
  for (const Translation& row : table)
    if (row.type == type) return &row;
  return nullptr;
}

const Translation* findTranslation(std::string_view type) {
  for (const auto table :
       {constantTranslations(), movementTranslations(), layerTranslations(), fusedTranslations()})
    if (const Translation* row = findIn(table, type)) return row;
  return nullptr;
}

/// Defs that an ONNX file can name directly; ours that ONNX lacks or defines differently are not
/// among them.
bool isOnnxName(const OperatorDef& def) {
  switch (def.opClass) {
    case OpClass::moe:
    case OpClass::optimizer:
    case OpClass::loss:
    case OpClass::embedding:
    case OpClass::opaque:
    case OpClass::recurrent:
    case OpClass::attention:
      return false;
    default:
      break;
  }
  for (std::string_view own :
       {"Linear", "ExpertLinear", "SwiGLU", "GeGLU", "Rotary", "Scale", "SplitHeads", "ToHeads",
        "MergeHeads", "LatentKeyValue", "PatchTokens", "FirstToken"})
    if (def.name == own) return false;
  return true;
}

}  // namespace

std::vector<Value> realise(OnnxNode& node, Canonical c) {
  const bool constant =
      !c.inputs.empty() &&
      std::all_of(c.inputs.begin(), c.inputs.end(), [](const Value& v) { return v.isConstant(); });
  if (!constant) return node.add(c.def, c.inputs, std::move(c.attributes));
  const std::vector<TensorType> types = operatorDef(c.def).infer(c.attributes, typesOf(c.inputs));
  for (const TensorType& t : types) checkShape(t.shape);
  if (isView(c.def) && c.inputs[0].type.elements() > 1 && node.builder.trained(c.inputs[0]))
    return {node.builder.view(c.inputs[0], types[0], c.def != "Transpose")};
  if (auto folded = foldKnown(node, c)) return *folded;
  if (c.def == "Concat")
    if (const auto whole = node.builder.wholeOf(c.inputs))
      return {node.builder.view(*whole, types[0], false)};
  if (conserves(node.builder, c.inputs, types)) return asConstants(node, c, types);
  return node.builder.defer({c.def, c.inputs, c.attributes, node.name, node.module, {}}, types);
}

bool knowsNode(std::string_view type) {
  if (type == "If" || type == "Loop" || type == "Scan" || findTranslation(type)) return true;
  const OperatorDef* def = findOperatorDef(type);
  return def && isOnnxName(*def);
}

std::optional<std::vector<Value>> importKnownNode(OnnxNode& node) {
  if (const Translation* row = findTranslation(node.type)) {
    if (row->many) return row->many(node);
    return realise(node, row->one(node));
  }
  const OperatorDef* def = findOperatorDef(node.type);
  if (!def || !isOnnxName(*def)) return std::nullopt;
  return realise(node, {def->name, node.present(), node.plainAttributes()});
}

}  // namespace meshplan
