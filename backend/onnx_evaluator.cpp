// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_evaluator.h"

#include <algorithm>
#include <set>

#include "backend/onnx_frame.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_names.h"
#include "core/import/onnx_order.h"
#include "core/import/onnx_reader.h"

namespace meshplan {
namespace {

constexpr int kMaxDepth = 100;

std::string functionKey(const std::string& domain, const std::string& name,
                        const std::string& overload) {
  return domain + "\n" + name + "\n" + overload;
}

template <class Imports>
int64_t opsetIn(const Imports& imports, int64_t fallback) {
  for (const auto& entry : imports)
    if (entry.domain().empty() || entry.domain() == "ai.onnx") return entry.version();
  return fallback;
}

OnnxPort portOf(const onnx::ValueInfoProto& info) {
  OnnxPort port{info.name(), 0, {}, false, true};
  port.isTensor = !info.type().has_sequence_type() && !info.type().has_optional_type();
  if (!info.type().has_tensor_type()) return port;
  const auto& type = info.type().tensor_type();
  port.code = type.elem_type();
  port.hasShape = type.has_shape();
  for (const auto& dim : type.shape().dim())
    port.dims.push_back(dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param());
  return port;
}

/// Everything that a node reads, names that its subgraphs capture included.
void collectReads(const onnx::NodeProto& node, std::set<std::string>& names) {
  for (const std::string& name : node.input())
    if (!name.empty()) names.insert(name);
  for (const auto& attribute : node.attribute()) {
    if (!attribute.has_g()) continue;
    for (const auto& inner : attribute.g().node()) collectReads(inner, names);
    for (const auto& output : attribute.g().output()) names.insert(output.name());
  }
}

/// A node that leads to what is wanted, and the tensors that nobody reads after it.
struct Use {
  const onnx::NodeProto* node;
  std::set<std::string> lastReads;
};

/// The nodes that lead to `kept`, in order; `wanted` receives the names of all tensors needed.
std::vector<Use> usesOf(const onnx::GraphProto& graph, const std::set<std::string>& kept,
                        std::set<std::string>& wanted) {
  wanted = kept;
  std::vector<Use> uses;
  const auto nodes = inOrder(graph.node());
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const auto& outputs = (*node)->output();
    if (std::none_of(outputs.begin(), outputs.end(),
                     [&](const std::string& name) { return wanted.count(name) > 0; }))
      continue;
    Use use{*node, {}};
    std::set<std::string> reads;
    collectReads(**node, reads);
    for (const std::string& name : reads)
      if (wanted.insert(name).second) use.lastReads.insert(name);
    uses.push_back(std::move(use));
  }
  std::reverse(uses.begin(), uses.end());
  return uses;
}

Error misfit(const std::string& input, const std::string& problem) {
  return Error(ErrorKind::input, problem, "give a tensor of the declared type and shape")
      .at("input " + input);
}

}  // namespace

OnnxEvaluator::OnnxEvaluator(const OnnxFileReader& file, int threads) : file_(file), cpu_(threads) {
  const onnx::GraphProto& graph = file.model().graph();
  std::set<std::string> initialised;
  for (const auto& t : graph.initializer()) initialised.insert(t.name());
  for (const auto& info : graph.input())
    if (initialised.count(info.name()) == 0) inputs_.push_back(portOf(info));
  for (const auto& info : graph.output()) outputs_.push_back(portOf(info));
  for (const auto& f : file.model().functions())
    functions_.emplace(functionKey(f.domain(), f.name(), f.overload()), &f);
}

void OnnxEvaluator::checkInputs(const std::map<std::string, HostTensor>& values,
                                std::map<std::string, int64_t> dims) const {
  for (const OnnxPort& port : inputs_) {
    const auto found = values.find(port.name);
    if (found == values.end()) throw misfit(port.name, "has no value");
    const TensorType& type = found->second.type();
    if (port.code != 0 && onnxDType(port.code) != type.dtype)
      throw misfit(port.name, "is " + std::string(dtypeName(type.dtype)) +
                                  " where the model takes " +
                                  std::string(dtypeName(onnxDType(port.code))));
    if (!port.hasShape) continue;
    if (port.dims.size() != type.shape.size())
      throw misfit(port.name, "has the shape " + shapeText(type.shape) + " where the model takes " +
                                  std::to_string(port.dims.size()) + " dimensions");
    for (size_t i = 0; i < port.dims.size(); ++i) {
      if (port.dims[i].empty()) continue;
      const bool number = port.dims[i].find_first_not_of("0123456789") == std::string::npos;
      const int64_t wanted = number && port.dims[i].size() < 19
                                 ? std::stoll(port.dims[i])
                                 : dims.emplace(port.dims[i], type.shape[i]).first->second;
      if (wanted != type.shape[i])
        throw misfit(port.name, "has the shape " + shapeText(type.shape) + " where dimension " +
                                    std::to_string(i) + " must be " + std::to_string(wanted));
    }
  }
}

std::vector<HostTensor> OnnxEvaluator::run(std::map<std::string, HostTensor> values,
                                           const std::map<std::string, int64_t>& dims) {
  checkInputs(values, dims);
  const onnx::GraphProto& graph = file_.model().graph();
  Frame frame;
  frame.opset = opsetIn(file_.model().opset_import(), 1);
  for (auto& [name, value] : values) frame.values.insert_or_assign(name, std::move(value));
  for (const auto& output : graph.output()) frame.kept.insert(output.name());
  evaluate(graph, frame);
  Tensors results;
  for (const auto& output : graph.output()) results.push_back(frame.at(output.name()));
  return results;
}

void OnnxEvaluator::evaluate(const onnx::GraphProto& graph, Frame& frame) {
  std::set<std::string> wanted;
  const std::vector<Use> uses = usesOf(graph, frame.kept, wanted);
  for (const auto& t : graph.initializer())
    if (wanted.count(t.name()) > 0 && frame.values.count(t.name()) == 0)
      frame.values.emplace(t.name(), file_.read(t));
  for (const Use& use : uses) {
    evaluateNode(*use.node, frame);
    for (const std::string& name : use.lastReads) frame.values.erase(name);
  }
}

std::map<std::string, HostTensor> OnnxEvaluator::constants(const std::set<std::string>& names,
                                                           const Graph& shapes) {
  const onnx::GraphProto& graph = file_.model().graph();
  Frame frame;
  frame.opset = opsetIn(file_.model().opset_import(), 1);
  for (const Tensor& t : shapes.tensors())
    if (t.kind == TensorKind::input) frame.values.emplace(t.name, HostTensor(t.type));
  std::set<std::string> wanted;
  const std::vector<Use> uses = usesOf(graph, names, wanted);
  for (const auto& t : graph.initializer())
    if (wanted.count(t.name()) > 0 && file_.hasValues(t))
      frame.values.insert_or_assign(t.name(), file_.read(t));
  for (const Use& use : uses) {
    evaluateIfPossible(*use.node, frame);
    for (const std::string& name : use.lastReads) frame.values.erase(name);
  }
  std::map<std::string, HostTensor> values;
  for (const std::string& name : names)
    if (const auto found = frame.values.find(name); found != frame.values.end())
      values.emplace(name, std::move(found->second));
  return values;
}

void OnnxEvaluator::evaluateIfPossible(const onnx::NodeProto& node, Frame& frame) {
  std::set<std::string> reads;
  collectReads(node, reads);
  for (const std::string& name : reads)
    if (!frame.find(name)) return;
  try {
    evaluateNode(node, frame);
  } catch (const UnsupportedNode&) {
    return;  // what depends on it cannot be had
  }
}

void OnnxEvaluator::evaluateNode(const onnx::NodeProto& node, Frame& frame) {
  Tensors outputs = outputsOf(node, frame);
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty()) continue;
    if (static_cast<size_t>(i) >= outputs.size())
      throw UnsupportedNode(node, "output " + std::to_string(i) + " is not computed", false);
    frame.values.insert_or_assign(node.output(i), std::move(outputs[static_cast<size_t>(i)]));
  }
}

std::vector<HostTensor> OnnxEvaluator::outputsOf(const onnx::NodeProto& node, Frame& frame) {
  const auto function =
      functions_.find(functionKey(node.domain(), node.op_type(), node.overload()));
  if (function != functions_.end()) return call(*function->second, node, frame);
  if (!node.domain().empty() && node.domain() != "ai.onnx")
    throw UnsupportedNode(node, "the domain '" + node.domain() + "' is not known", true);
  if (node.op_type() == "If") return runIf(node, frame);
  if (node.op_type() == "Loop") return runLoop(node, frame);
  if (node.op_type() == "Scan") return runScan(node, frame);
  std::vector<const HostTensor*> inputs;
  for (const std::string& name : node.input())
    inputs.push_back(name.empty() ? nullptr : frame.find(name));
  return runOnnxNode({file_, cpu_, frame.opset, frame.actuals}, node, inputs);
}

std::vector<HostTensor> OnnxEvaluator::call(const onnx::FunctionProto& function,
                                            const onnx::NodeProto& node, Frame& frame) {
  if (++depth_ > kMaxDepth)
    throw Error(ErrorKind::input, "functions call each other too deeply",
                "functions must not be recursive; export the model again");
  Frame inner;
  inner.opset = opsetIn(function.opset_import(), frame.opset);
  for (const auto& a : function.attribute_proto()) inner.actuals[a.name()] = &a;
  for (const auto& a : node.attribute())
    if (const auto* actual = frame.attribute(node, a.name())) inner.actuals[a.name()] = actual;
  for (int i = 0; i < std::min(function.input_size(), node.input_size()); ++i)
    if (const HostTensor* value = frame.find(node.input(i)))
      inner.values.emplace(function.input(i), *value);
  for (const onnx::NodeProto* n : inOrder(function.node())) evaluateNode(*n, inner);
  --depth_;
  Tensors results;
  for (const std::string& name : function.output())
    if (const HostTensor* value = inner.find(name))
      results.push_back(*value);
    else
      results.emplace_back();
  return results;
}

std::vector<HostTensor> OnnxEvaluator::runBody(const onnx::GraphProto& body, const Frame& outer,
                                               Tensors arguments) {
  if (static_cast<size_t>(body.input_size()) != arguments.size())
    throw Error(ErrorKind::input, "the body takes another number of inputs",
                "the file is damaged; export the model again");
  Frame frame;
  frame.parent = &outer;
  frame.actuals = outer.actuals;
  frame.opset = outer.opset;
  for (size_t i = 0; i < arguments.size(); ++i)
    frame.values.insert_or_assign(body.input(static_cast<int>(i)).name(), std::move(arguments[i]));
  for (const auto& output : body.output()) frame.kept.insert(output.name());
  evaluate(body, frame);
  Tensors results;
  for (const auto& output : body.output()) results.push_back(frame.at(output.name()));
  return results;
}

}  // namespace meshplan
