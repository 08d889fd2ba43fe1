// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/operator_run.h"

#include <random>

#include "core/backward.h"
#include "core/work.h"

namespace meshplan {
namespace {

/// The operator, with a loss behind it where it is none itself.
Graph graphOf(const OperatorCase& c) {
  Graph graph;
  std::vector<TensorId> inputs;
  for (const Shape& shape : c.floats)
    inputs.push_back(graph.addParameter("x" + std::to_string(inputs.size()), {DType::f32, shape}));
  for (const Shape& shape : c.wholes)
    inputs.push_back(graph.addInput("x" + std::to_string(inputs.size()), {DType::i64, shape}));
  OpId last = graph.addOperator(c.def, inputs, c.attributes, "timed");
  if (graph.op(last).def->opClass != OpClass::loss) {
    const TensorId y = graph.output(last);
    last = graph.addOperator("MeanSquaredError", {y, graph.addInput("t", graph.tensor(y).type)});
  }
  graph.outputs() = {graph.output(last)};
  return graph;
}

HostTensor randomTensor(const TensorType& type, uint64_t seed, int64_t below) {
  std::mt19937_64 random(seed);
  std::vector<double> values(static_cast<size_t>(type.elements()));
  for (double& v : values)
    v = isFloating(type.dtype) ? static_cast<double>(random() >> 11) * 0x1p-52 - 1
                               : static_cast<double>(random() % static_cast<uint64_t>(below));
  return fromDoubles(type, values);
}

}  // namespace

OperatorRun::OperatorRun(const OperatorCase& c, Precision precision, int threads)
    : precision_(precision), context_(threads), forward_(0) {
  TrainingOptions options;
  options.precision = precision;
  graph_ = trainingGraph(graphOf(c), options);
  while (graph_.op(forward_).name != "timed") forward_ = OpId(forward_.index() + 1);
  for (size_t i = 0; i < graph_.operatorCount(); ++i)
    if (const Operator& op = graph_.op(OpId(i)); !op.outputSlots.empty() && op.forward == forward_)
      gradients_.push_back(OpId(i));
  const auto in = graph_.inputTypes(forward_), out = graph_.outputTypes(forward_);
  const Operator& op = graph_.op(forward_);
  for (const Axis& a : op.def->nest({op.attributes, in, out}).axes)
    axes_.push_back({0, a.extent, a.extent});
  tensors_.resize(graph_.tensorCount());
  measure(forward_);
  for (OpId id : gradients_) measure(id);
  for (size_t i = 0; i < graph_.tensorCount(); ++i) prepare(TensorId(i), c.below);
  forward();
}

bool OperatorRun::multiplies() const {
  const OpClass c = graph_.op(forward_).def->opClass;
  return c == OpClass::contraction || c == OpClass::convolution || c == OpClass::attention;
}

void OperatorRun::forward() {
  run(forward_);
}

void OperatorRun::gradients() {
  for (OpId id : gradients_) run(id);
}

void OperatorRun::prepare(TensorId id, int64_t below) {
  const Tensor& tensor = graph_.tensor(id);
  if (tensor.kind != TensorKind::state)
    tensors_[id.index()] = randomTensor(tensor.type, id.index(), below);
}

void OperatorRun::measure(OpId id) {
  const Operator& forward = graph_.op(forward_);
  const auto in = graph_.inputTypes(forward_), out = graph_.outputTypes(forward_);
  const OpContext context{forward.attributes, in, out};
  const bool isForward = id == forward_;
  const LoopNest nest = forward.def->nest(context);
  const OperatorWork work = workOf(graph_, id, isForward ? nest : gradientNest(nest, graph_.op(id)),
                                   graph_.inputTypes(id), graph_.outputTypes(id),
                                   meshplan::forwardFlops(*forward.def, context).value, precision_);
  (isForward ? forwardFlops_ : gradientFlops_) += work.flops;
  (isForward ? forwardBytes_ : gradientBytes_) += work.bytes;
}

void OperatorRun::run(OpId id) {
  const Operator& op = graph_.op(id);
  std::vector<TensorView> inputs, outputs;
  for (TensorId t : op.inputs) inputs.push_back(tensors_[t.index()].view());
  for (TensorId t : op.outputs) outputs.push_back(tensors_[t.index()].view());
  KernelCall call;
  call.op = &op;
  call.inputs = inputs;
  call.outputs = outputs;
  call.axes = axes_;
  runCpuKernel(context_, call);
}

}  // namespace meshplan
