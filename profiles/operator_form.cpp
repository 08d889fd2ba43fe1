// SPDX-License-Identifier: Apache-2.0
#include "profiles/operator_form.h"

#include <fmt/format.h>

#include "core/backward.h"

namespace meshplan {
namespace {

constexpr const char* kName = "imported";

/// Activations are results of an operator before, so that only parameters have accumulated
/// gradients.
TensorId addInput(Graph& graph, const OperatorForm::Input& input) {
  const std::string name = fmt::format("x{}", graph.tensorCount());
  if (input.role == OperatorForm::Role::whole)
    return graph.addInput(name, {DType::i64, input.shape});
  const TensorId parameter = graph.addParameter(name, {DType::f32, input.shape});
  if (input.role == OperatorForm::Role::parameter) return parameter;
  return graph.output(graph.addOperator("Identity", {parameter}));
}

Graph graphOf(const OperatorForm& form) {
  Graph graph;
  std::vector<TensorId> inputs;
  for (const OperatorForm::Input& input : form.inputs) inputs.push_back(addInput(graph, input));
  OpId last = graph.addOperator(form.def, inputs, form.attributes, kName);
  if (graph.op(last).def->opClass != OpClass::loss) {
    const TensorId y = graph.output(last);
    last = graph.addOperator("MeanSquaredError", {y, graph.addInput("t", graph.tensor(y).type)});
  }
  graph.outputs() = {graph.output(last)};
  return graph;
}

std::string typesText(const std::vector<TensorType>& inputs,
                      const std::vector<TensorType>& outputs) {
  std::string text;
  for (const TensorType& t : inputs)
    text += fmt::format("{}{} ", dtypeName(t.dtype), shapeText(t.shape));
  text += "->";
  for (const TensorType& t : outputs)
    text += fmt::format(" {}{}", dtypeName(t.dtype), shapeText(t.shape));
  return text;
}

NamedWork workIn(const Graph& graph, OpId forward, OpId id, Precision precision) {
  const Operator& op = graph.op(forward);
  const auto in = graph.inputTypes(forward), out = graph.outputTypes(forward);
  const OpContext context{op.attributes, in, out};
  const LoopNest nest = op.def->nest(context);
  const auto inputs = graph.inputTypes(id), outputs = graph.outputTypes(id);
  return {workOf(graph, id, id == forward ? nest : gradientNest(nest, graph.op(id)), inputs,
                 outputs, forwardFlops(*op.def, context).value, precision),
          typesText(inputs, outputs)};
}

}  // namespace

FormWorks worksOf(const OperatorForm& form, Precision precision, DType gradientDType) {
  TrainingOptions options;
  options.precision = precision;
  options.gradientDType = gradientDType;
  const Graph graph = trainingGraph(graphOf(form), options);
  OpId forward(0);
  while (graph.op(forward).name != kName) forward = OpId(forward.index() + 1);
  FormWorks works;
  works.forward = workIn(graph, forward, forward, precision);
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.op(OpId(i));
    if (!op.outputSlots.empty() && op.forward == forward && op.def == graph.op(forward).def)
      works.gradients.push_back(workIn(graph, forward, OpId(i), precision));
  }
  return works;
}

}  // namespace meshplan
