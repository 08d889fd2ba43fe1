// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_graph.h"

#include <algorithm>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_names.h"
#include "core/import/onnx_node.h"
#include "core/import/onnx_order.h"
#include "core/import/onnx_reader.h"

namespace meshplan {
namespace {

constexpr int kMaxCallDepth = 100;

std::string functionKey(const std::string& domain, const std::string& name,
                        const std::string& overload) {
  return domain + "\n" + name + "\n" + overload;
}

bool isStandardDomain(const std::string& domain) {
  return domain.empty() || domain == "ai.onnx" || domain == "com.microsoft";
}

int64_t opsetIn(const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports,
                int64_t fallback) {
  for (const auto& entry : imports)
    if (entry.domain().empty() || entry.domain() == "ai.onnx") return entry.version();
  return fallback;
}

void addInitializers(OnnxBuilder& builder, const onnx::GraphProto& graph, Scope& scope,
                     bool named) {
  const auto add = [&](const std::string& name, TensorType type, std::optional<SmallTensor> data,
                       bool causal) {
    if (name.empty() || scope.values.count(name) > 0)
      throw Error(ErrorKind::input, "two tensors are called '" + name + "'",
                  "names of tensors must be unique; export the model again")
          .at("initializer " + name);
    const bool trained = type.elements() > 1;
    Value value = builder.constant(name, std::move(type), std::move(data), trained);
    value.causal = causal;
    if (named) builder.setOrigin(value, name);
    scope.values.emplace(name, value);
  };
  for (const auto& t : graph.initializer())
    add(t.name(), onnxType(t), readSmall(t), isLowerTriangular(t));
  for (const auto& t : graph.sparse_initializer()) {
    TensorType type{onnxDType(t.values().data_type()), {t.dims().begin(), t.dims().end()}};
    checkShape(type.shape);
    add(t.values().name(), std::move(type), std::nullopt, false);
  }
}

void declare(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& infos, Scope& scope) {
  for (const auto& info : infos)
    if (info.has_type()) scope.declared.emplace(info.name(), &info.type());
}

std::optional<TensorType> declaredTensor(const OnnxNode& node, const std::string& name) {
  const onnx::TypeProto* type = node.scope.declaredType(name);
  if (!type || !type->has_tensor_type() || !type->tensor_type().has_shape()) return std::nullopt;
  const auto shape = node.builder.dims.tryBind(type->tensor_type().shape());
  if (!shape) return std::nullopt;
  return TensorType{onnxDType(type->tensor_type().elem_type()), *shape};
}

}  // namespace

OnnxGraphImporter::OnnxGraphImporter(OnnxBuilder& builder) : builder_(builder) {
  for (const auto& f : builder.model.functions())
    functions_.emplace(functionKey(f.domain(), f.name(), f.overload()), &f);
}

Value OnnxGraphImporter::outputOf(const Scope& scope, const std::string& name) {
  if (const Value* value = scope.find(name)) return *value;
  throw Error(ErrorKind::input, "nothing produces the output '" + name + "'",
              "the file is damaged; export the model again");
}

void OnnxGraphImporter::importGraph(const onnx::GraphProto& graph, Scope& scope) {
  addInitializers(builder_, graph, scope, scope.depth == 0 && calling_.empty());
  declare(graph.value_info(), scope);
  declare(graph.output(), scope);
  importNodes(inOrder(graph.node()), scope);
}

void OnnxGraphImporter::importNodes(const std::vector<const onnx::NodeProto*>& nodes,
                                    Scope& scope) {
  for (const onnx::NodeProto* node : nodes) {
    try {
      importNode(*node, scope);
    } catch (const Error& e) {
      throw e.at("node " + nodeLabel(*node));
    }
  }
}

void OnnxGraphImporter::importNode(const onnx::NodeProto& node, Scope& scope) {
  builder_.countNode();
  const size_t known = builder_.constantCount();
  const bool named = scope.depth == 0 && calling_.empty();
  const std::vector<Value> outputs = outputsOf(node, scope);
  for (int i = 0; i < node.output_size(); ++i) {
    const std::string& name = node.output(i);
    if (name.empty()) continue;
    if (scope.values.count(name) > 0)
      throw Error(ErrorKind::input, "writes '" + name + "', which exists already",
                  "names of tensors must be unique; export the model again");
    if (static_cast<size_t>(i) < outputs.size()) {
      const Value& value = outputs[static_cast<size_t>(i)];
      builder_.nameAfter(value, name);
      if (value.isConstant() && static_cast<size_t>(value.constant) >= known)
        builder_.setOrigin(value, named ? name : std::string());
      scope.values.emplace(name, value);
      continue;
    }
    // Statistics that only inference reads, such as running means.
    const TensorType type = outputs.empty() ? TensorType{} : outputs[0].type;
    scope.values.emplace(name, builder_.constant(name, type, std::nullopt, false));
  }
}

std::vector<Value> OnnxGraphImporter::outputsOf(const onnx::NodeProto& proto, Scope& scope) {
  OnnxNode node(builder_, proto, scope);
  const auto function =
      functions_.find(functionKey(proto.domain(), proto.op_type(), proto.overload()));
  if (function != functions_.end()) return callFunction(node, *function->second);
  if (!isStandardDomain(proto.domain())) return importOpaque(node);
  try {
    if (node.type == "If") return importIf(node);
    if (node.type == "Loop") return importLoop(node);
    if (node.type == "Scan") return importScan(node);
    if (auto outputs = importKnownNode(node)) return *outputs;
  } catch (const Unplannable& e) {
    builder_.warnOnce("node " + node.name + ": " + e.reason +
                      "; it is planned as an opaque operator");
  }
  return importOpaque(node);
}

std::vector<Value> OnnxGraphImporter::importOpaque(OnnxNode& node) {
  std::vector<Value> inputs = node.present();
  const TensorType fallback = inputs.empty() ? TensorType{DType::f32, {1}} : inputs[0].type;
  std::vector<TensorType> types;
  for (const std::string& output : node.proto.output())
    types.push_back(declaredTensor(node, output).value_or(fallback));
  const std::string& domain = node.proto.domain();
  return builder_.addOpaque(domain.empty() ? node.type : domain + "." + node.type, inputs, types,
                            node.name, node.module);
}

Scope OnnxGraphImporter::childOf(const OnnxNode& node) const {
  Scope scope;
  scope.parent = &node.scope;
  scope.actuals = node.scope.actuals;
  scope.module = node.module;
  scope.opset = node.scope.opset;
  scope.depth = node.scope.depth + 1;
  return scope;
}

std::vector<Value> OnnxGraphImporter::callFunction(OnnxNode& node,
                                                   const onnx::FunctionProto& function) {
  if (std::find(calling_.begin(), calling_.end(), &function) != calling_.end())
    throw Error(ErrorKind::input, "the function '" + function.name() + "' calls itself",
                "functions must not be recursive; export the model again");
  if (calling_.size() >= kMaxCallDepth)
    throw Error(ErrorKind::input, "functions call each other too deeply",
                "inline the model's functions before importing it");
  Scope scope;
  scope.module = node.module;
  scope.opset = opsetIn(function.opset_import(), node.opset());
  for (const auto& a : function.attribute_proto()) scope.actuals[a.name()] = &a;
  for (const auto& a : node.proto.attribute())
    if (const auto* actual = node.attribute(a.name())) scope.actuals[a.name()] = actual;
  Value absent;
  absent.absent = true;
  for (int i = 0; i < function.input_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    scope.values.emplace(function.input(i), node.has(index) ? node.inputs[index] : absent);
  }
  declare(function.value_info(), scope);
  calling_.push_back(&function);
  importNodes(inOrder(function.node()), scope);
  calling_.pop_back();
  std::vector<Value> outputs;
  for (const std::string& name : function.output()) outputs.push_back(outputOf(scope, name));
  return outputs;
}

}  // namespace meshplan
