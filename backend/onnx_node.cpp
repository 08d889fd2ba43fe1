// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_node.h"

#include <cstring>

#include "backend/onnx_host_nodes.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_names.h"
#include "core/import/onnx_node.h"

namespace meshplan {
namespace {

/// The operators that one node became, with the tensors they read and make.
class NodeRun {
 public:
  NodeRun(CpuContext& cpu, const OnnxBuilder& builder, const Scope& scope)
      : cpu_(cpu), builder_(builder), scope_(scope), made_(builder.graph.tensorCount()) {}

  /// `input` is the value of the graph's tensor of that name.
  std::vector<HostTensor> run(const std::vector<Value>& results,
                              const std::map<uint32_t, const HostTensor*>& given) {
    given_ = &given;
    for (const Operator& op : builder_.graph.operators()) runOperator(op);
    std::vector<HostTensor> outputs;
    for (const Value& v : results)
      outputs.push_back(v.isConstant() ? constant(v) : tensor(v.tensor));
    return outputs;
  }

 private:
  HostTensor constant(const Value& value) const {
    if (const SmallTensor* small = builder_.known(value)) return hostFrom(*small);
    throw Unplannable{"its value is not known"};
  }

  const HostTensor& tensor(TensorId id) {
    if (const auto it = given_->find(id.value); it != given_->end()) return *it->second;
    std::optional<HostTensor>& slot = made_[id.index()];
    if (!slot) {
      const SmallTensor* small = builder_.knownTensor(id);
      if (!small) throw Unplannable{"a constant is not known"};
      slot = hostFrom(*small);
    }
    return *slot;
  }

  void runOperator(const Operator& op) {
    if (op.def->opClass == OpClass::opaque) throw Unplannable{"there is no such operator"};
    std::vector<HostTensor> outputs;
    for (TensorId t : op.outputs) outputs.emplace_back(builder_.graph.tensor(t).type);
    if (!isEmpty(outputs)) compute(op, outputs);
    for (size_t i = 0; i < outputs.size(); ++i)
      made_[op.outputs[i].index()] = std::move(outputs[i]);
  }

  static bool isEmpty(const std::vector<HostTensor>& tensors) {
    for (const HostTensor& t : tensors)
      if (t.elements() > 0) return false;
    return true;
  }

  void compute(const Operator& op, std::vector<HostTensor>& outputs) {
    const bool half = usesHalf(op);
    if (op.def->opClass == OpClass::view) {
      const auto from = tensor(op.inputs[0]).bytes();
      std::memcpy(outputs[0].bytes().data(), from.data(), from.size());
    } else if (half && op.def->name == "Cast") {
      outputs[0] = converted(tensor(op.inputs[0]), outputs[0].type().dtype);
    } else if (half) {
      computeWidened(op, outputs);
    } else {
      std::vector<TensorView> in;
      for (TensorId t : op.inputs) in.push_back(tensor(t).view());
      call(op, in, outputs);
    }
  }

  bool usesHalf(const Operator& op) {
    for (TensorId t : op.inputs)
      if (tensor(t).type().dtype == DType::f16) return true;
    for (TensorId t : op.outputs)
      if (builder_.graph.tensor(t).type.dtype == DType::f16) return true;
    return false;
  }

  void computeWidened(const Operator& op, std::vector<HostTensor>& outputs) {
    std::vector<HostTensor> wide;
    for (TensorId t : op.inputs) {
      const HostTensor& x = tensor(t);
      wide.push_back(x.type().dtype == DType::f16 ? converted(x, DType::f32) : x);
    }
    std::vector<TensorView> in;
    for (const HostTensor& x : wide) in.push_back(x.view());
    std::vector<HostTensor> results;
    for (const HostTensor& y : outputs)
      results.emplace_back(
          TensorType{y.type().dtype == DType::f16 ? DType::f32 : y.type().dtype, y.shape()});
    call(op, in, results);
    for (size_t i = 0; i < outputs.size(); ++i)
      outputs[i] = outputs[i].type().dtype == DType::f16 ? converted(results[i], DType::f16)
                                                         : std::move(results[i]);
  }

  void call(const Operator& op, const std::vector<TensorView>& in,
            std::vector<HostTensor>& outputs) {
    std::vector<TensorView> out;
    std::vector<TensorType> inTypes, outTypes;
    for (const TensorView& v : in) inTypes.push_back(v.type);
    for (const HostTensor& t : outputs) {
      out.push_back(t.view());
      outTypes.push_back(t.type());
    }
    std::vector<AxisRange> axes;
    for (const Axis& a : op.def->nest({op.attributes, inTypes, outTypes}).axes)
      axes.push_back({0, a.extent, a.extent});
    KernelCall call;
    call.op = &op;
    call.inputs = in;
    call.outputs = out;
    call.axes = axes;
    call.training = false;
    runCpuKernel(cpu_, call);
  }

  CpuContext& cpu_;
  const OnnxBuilder& builder_;
  const Scope& scope_;
  std::vector<std::optional<HostTensor>> made_;
  const std::map<uint32_t, const HostTensor*>* given_ = nullptr;
};

std::vector<HostTensor> translateAndRun(const NodeContext& context, const onnx::NodeProto& proto,
                                        const std::vector<const HostTensor*>& inputs) {
  const ModelRequest request{context.file.path(), {}, {}, {}, {}, {}, {}};
  OnnxBuilder builder(request, context.file.model());
  builder.inference = true;
  Scope scope;
  scope.opset = context.opset;
  scope.actuals = context.actuals;
  std::map<uint32_t, const HostTensor*> given;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = proto.input(static_cast<int>(i));
    if (!inputs[i] || scope.values.count(name) > 0) continue;
    const Value value = builder.input(name, inputs[i]->type(), smallFrom(*inputs[i]));
    scope.values.emplace(name, value);
    given.emplace(value.tensor.value, inputs[i]);
  }
  OnnxNode node(builder, proto, scope);
  std::vector<HostTensor> outputs = runHostNode(context.file, node, inputs);
  if (!outputs.empty()) return outputs;
  const auto values = importKnownNode(node);
  if (!values) throw UnsupportedNode(proto, "the operator is not known", true);
  return NodeRun(context.cpu, builder, scope).run(*values, given);
}

}  // namespace

UnsupportedNode::UnsupportedNode(const onnx::NodeProto& node, const std::string& reason,
                                 bool unknownType)
    : Error(Error(ErrorKind::input, node.op_type() + ": " + reason,
                  "predict evaluates the operators of docs/operators.md in fp64, fp32, fp16, bf16 "
                  "and integers")
                .at("node " + nodeLabel(node))),
      unknownType_(unknownType) {}

std::vector<HostTensor> runOnnxNode(const NodeContext& context, const onnx::NodeProto& node,
                                    const std::vector<const HostTensor*>& inputs) {
  try {
    return translateAndRun(context, node, inputs);
  } catch (const Unplannable& e) {
    throw UnsupportedNode(node, e.reason, false);
  } catch (const UnsupportedNode&) {
    throw;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::runtime) throw UnsupportedNode(node, e.problem(), false);
    throw e.at("node " + nodeLabel(node));
  }
}

}  // namespace meshplan
