// SPDX-License-Identifier: Apache-2.0
#include "core/graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/strong_components.hpp>

#include "core/error.h"

namespace meshplan {
namespace {

using Dependencies = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS>;

Dependencies dependenciesOf(const Graph& graph) {
  Dependencies dependencies(graph.operatorCount());
  for (size_t i = 0; i < graph.operatorCount(); ++i)
    for (TensorId t : graph.operators()[i].inputs)
      if (const OpId producer = graph.tensor(t).producer; producer.valid())
        boost::add_edge(producer.index(), i, dependencies);
  return dependencies;
}

std::string quotedNames(const Graph& graph, const std::vector<size_t>& ops) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(ops.size(), kMost); ++i)
    text += (i ? ", '" : "'") + graph.operators()[ops[i]].name + "'";
  return ops.size() > kMost ? text + " and " + std::to_string(ops.size() - kMost) + " more" : text;
}

/// The operators of one cycle in index order; empty when there is none.
std::vector<size_t> operatorsOnCycle(const Graph& graph) {
  const Dependencies dependencies = dependenciesOf(graph);
  std::vector<size_t> component(graph.operatorCount());
  if (component.empty()) return {};
  const size_t components =
      static_cast<size_t>(boost::strong_components(dependencies, component.data()));
  std::vector<std::vector<size_t>> members(components);
  for (size_t i = 0; i < component.size(); ++i) members[component[i]].push_back(i);
  for (const std::vector<size_t>& ops : members) {
    if (ops.size() > 1) return ops;
    if (boost::edge(ops[0], ops[0], dependencies).second) return ops;
  }
  return {};
}

bool needsProducer(TensorKind kind) {
  return kind == TensorKind::activation || kind == TensorKind::gradient;
}

const Axis& axisAt(const LoopNest& nest, int8_t axis) {
  return nest.axes[static_cast<size_t>(axis)];
}

/// The axis that a dimension of the batch walks: the outermost one, past extents of 1 when the
/// batch is larger.
int8_t leadingAxis(const LoopNest& nest, const DimWalk& walk, bool skipOnes) {
  for (int8_t axis : {walk.outer, walk.middle, walk.inner})
    if (axis != kNoAxis && !(skipOnes && axisAt(nest, axis).extent == 1)) return axis;
  return walk.outer;
}

/// Whether `axis` leads the dimension, or only extents of 1 stand before it.
bool leads(const LoopNest& nest, const DimWalk& walk, int8_t axis) {
  for (int8_t a : {walk.outer, walk.middle, walk.inner}) {
    if (a == kNoAxis) continue;
    if (a == axis) return true;
    if (axisAt(nest, a).extent != 1) return false;
  }
  return false;
}

int8_t dimensionLedBy(const LoopNest& nest, const TensorWalk& walk, int8_t axis) {
  for (size_t d = 0; d < walk.size(); ++d)
    if (leads(nest, walk[d], axis)) return static_cast<int8_t>(d);
  return -1;
}

/// Follows one marked dimension (batch or sequence) through an operator.
void follow(Graph& graph, const Operator& op, const LoopNest& nest, int8_t Tensor::*mark,
            bool skipOnes) {
  for (size_t o = 0; o < op.outputs.size(); ++o) {
    Tensor& output = graph.tensor(op.outputs[o]);
    for (size_t i = 0; i < op.inputs.size() && output.*mark < 0; ++i) {
      const int8_t dim = graph.tensor(op.inputs[i]).*mark;
      if (dim < 0 || static_cast<size_t>(dim) >= nest.inputs[i].size()) continue;
      const int8_t axis = leadingAxis(nest, nest.inputs[i][static_cast<size_t>(dim)], skipOnes);
      if (axis != kNoAxis) output.*mark = dimensionLedBy(nest, nest.outputs[o], axis);
    }
  }
}

int64_t extentOfMark(const Graph& graph, int8_t Tensor::*mark) {
  int64_t extent = 1;
  for (const Tensor& t : graph.tensors())
    if (t.kind == TensorKind::input && t.*mark >= 0)
      extent = std::max(extent, t.type.shape.at(static_cast<size_t>(t.*mark)));
  return extent;
}

std::vector<TensorType> typesOf(const Graph& graph, const std::vector<TensorId>& ids) {
  std::vector<TensorType> types;
  types.reserve(ids.size());
  for (TensorId id : ids) types.push_back(graph.tensor(id).type);
  return types;
}

}  // namespace

TensorId Graph::addTensor(Tensor tensor) {
  tensors_.push_back(std::move(tensor));
  return TensorId(tensors_.size() - 1);
}

TensorId Graph::addInput(std::string name, TensorType type, int8_t batchDim, int8_t sequenceDim) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.type = std::move(type);
  tensor.kind = TensorKind::input;
  tensor.batchDim = batchDim;
  tensor.sequenceDim = sequenceDim;
  return addTensor(std::move(tensor));
}

TensorId Graph::addParameter(std::string name, TensorType type) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.type = std::move(type);
  tensor.kind = TensorKind::parameter;
  return addTensor(std::move(tensor));
}

TensorId Graph::addConstant(std::string name, TensorType type) {
  const TensorId id = addParameter(std::move(name), std::move(type));
  tensor(id).kind = TensorKind::constant;
  return id;
}

OpId Graph::addOperator(std::string_view def, std::vector<TensorId> inputs, Attributes attributes,
                        std::string name, std::string module) {
  Operator op;
  op.def = &operatorDef(def);
  op.name =
      name.empty() ? std::string(def) + "_" + std::to_string(operators_.size()) : std::move(name);
  op.module = std::move(module);
  op.attributes = std::move(attributes);
  op.inputs = std::move(inputs);
  std::vector<TensorType> types;
  try {
    types = op.def->infer(op.attributes, typesOf(*this, op.inputs));
    for (const TensorType& t : types) t.bytes();  // refuses what overflows
  } catch (const Error& e) {
    throw e.at(op.name);
  }
  for (size_t i = 0; i < types.size(); ++i) {
    Tensor output;
    output.name = op.name + ":" + std::to_string(i);
    output.type = std::move(types[i]);
    op.outputs.push_back(addTensor(std::move(output)));
  }
  return addOperator(std::move(op));
}

OpId Graph::addOperator(Operator op) {
  const OpId id(operators_.size());
  for (TensorId t : op.outputs) {
    if (tensor(t).producer.valid())
      throw Error(ErrorKind::input, "two operators make the tensor '" + tensor(t).name + "'",
                  "export the model again")
          .at(op.name);
    tensor(t).producer = id;
  }
  for (TensorId t : op.inputs) tensor(t).consumers.push_back(id);
  operators_.push_back(std::move(op));
  return id;
}

std::vector<TensorType> Graph::inputTypes(OpId id) const {
  return typesOf(*this, op(id).inputs);
}
std::vector<TensorType> Graph::outputTypes(OpId id) const {
  return typesOf(*this, op(id).outputs);
}

int64_t Graph::parameterCount() const {
  int64_t count = 0;
  for (const Tensor& t : tensors_)
    if (t.kind == TensorKind::parameter) count = checkedAdd(count, t.type.elements());
  return count;
}

void Graph::validate() const {
  for (const Operator& op : operators_)
    for (TensorId t : op.inputs)
      if (!tensor(t).producer.valid() && needsProducer(tensor(t).kind))
        throw Error(ErrorKind::input,
                    "reads the tensor '" + tensor(t).name + "', which nobody makes",
                    "export the model again")
            .at(op.name);
  const std::vector<size_t> cycle = operatorsOnCycle(*this);
  if (!cycle.empty())
    throw Error(ErrorKind::input, "the operators " + quotedNames(*this, cycle) + " form a cycle",
                "a training graph must be acyclic");
}

void propagateBatch(Graph& graph) {
  const bool largeBatch = extentOfMark(graph, &Tensor::batchDim) > 1;
  const bool longSequence = extentOfMark(graph, &Tensor::sequenceDim) > 1;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.operators()[i];
    if (op.phase != Phase::forward) continue;
    const std::vector<TensorType> inputs = graph.inputTypes(OpId(i));
    const std::vector<TensorType> outputs = graph.outputTypes(OpId(i));
    const LoopNest nest = op.def->nest({op.attributes, inputs, outputs});
    follow(graph, op, nest, &Tensor::batchDim, largeBatch);
    follow(graph, op, nest, &Tensor::sequenceDim, longSequence);
  }
}

}  // namespace meshplan
