// SPDX-License-Identifier: Apache-2.0
#include "core/backward.h"

#include <algorithm>

namespace meshplan {
namespace {

DType storedAs(DType t, Precision p) {
  const bool changes = isMixed(p) || p == Precision::fp64;
  return (t == DType::f32 || t == DType::f64) && changes ? storageDType(p) : t;
}

/// The forward graph again in the storage dtype, with casts of logits in front of losses.
Graph convert(const Graph& source, Precision precision) {
  Graph graph;
  std::vector<TensorId> map(source.tensorCount());
  for (size_t i = 0; i < source.tensorCount(); ++i) {
    Tensor t = source.tensor(TensorId(i));
    t.producer = {};
    t.consumers.clear();
    t.type.dtype = storedAs(t.type.dtype, precision);
    map[i] = graph.addTensor(std::move(t));
  }
  for (const Operator& op : source.operators()) {
    Operator copy = op;
    for (TensorId& t : copy.inputs) t = map[t.index()];
    for (TensorId& t : copy.outputs) t = map[t.index()];
    if (op.def->opClass == OpClass::attention && op.outputs.size() == 2)  // log-sum-exp of scores
      graph.tensor(copy.outputs[1]).type.dtype = stateDType(precision);
    if (op.def->opClass == OpClass::loss) {
      for (TensorId t : copy.outputs) graph.tensor(t).type.dtype = stateDType(precision);
      const Tensor logits = graph.tensor(copy.inputs[0]);
      if (dtypeBytes(logits.type.dtype) < 4 && copy.attributes.getInt("half", 0) == 0) {
        const OpId cast = graph.addOperator("Cast", {copy.inputs[0]}, {{"to", std::string("fp32")}},
                                            op.name + ".logits", op.module);
        Tensor& wide = graph.tensor(graph.output(cast));
        wide.type.dtype = DType::f32;
        wide.batchDim = logits.batchDim;
        wide.sequenceDim = logits.sequenceDim;
        copy.inputs[0] = graph.output(cast);
      }
    }
    graph.addOperator(std::move(copy));
  }
  for (TensorId t : source.outputs()) graph.outputs().push_back(map[t.index()]);
  return graph;
}

class Differentiator {
 public:
  Differentiator(Graph& graph, const TrainingOptions& options)
      : graph_(graph),
        options_(options),
        needed_(graph.tensorCount()),
        contributions_(graph.tensorCount()) {}

  void run() {
    const size_t count = graph_.operatorCount();
    for (size_t i = 0; i < graph_.tensorCount(); ++i)
      needed_[i] = graph_.tensor(TensorId(i)).kind == TensorKind::parameter;
    for (size_t i = 0; i < count; ++i) markNeeded(graph_.op(OpId(i)));
    for (size_t i = count; i-- > 0;) differentiate(OpId(i));
    const size_t tensors = contributions_.size();
    for (size_t i = 0; i < tensors; ++i)
      if (graph_.tensor(TensorId(i)).kind == TensorKind::parameter) addUpdate(TensorId(i));
  }

 private:
  void markNeeded(const Operator& op) {
    if (op.def->gradient == GradientKind::none) return;
    const bool any = std::any_of(op.inputs.begin(), op.inputs.end(),
                                 [&](TensorId t) { return needed_[t.index()]; });
    for (TensorId t : op.outputs)
      needed_[t.index()] = any && isFloating(graph_.tensor(t).type.dtype);
  }

  bool isLoss(OpId id) const {
    return !graph_.outputs().empty() && graph_.tensor(graph_.outputs().back()).producer == id;
  }

  /// The one gradient of an output, summed when several consumers contribute; invalid when nobody
  /// does.
  TensorId gradientOf(OpId id, TensorId t) {
    std::vector<TensorId>& parts = contributions_[t.index()];
    if (parts.empty()) return {};
    if (parts.size() == 1) return parts[0];
    Operator sum;
    sum.def = &operatorDef("Sum");
    sum.phase = Phase::backwardInput;
    sum.repeat = graph_.op(id).repeat;
    sum.name = graph_.tensor(t).name + ".grad";
    sum.module = graph_.op(id).module;
    sum.inputs = parts;
    sum.outputs = {addGradient(t)};
    sum.forward = id;
    const TensorId result = sum.outputs[0];
    graph_.addOperator(std::move(sum));
    parts = {result};
    return result;
  }

  TensorId addGradient(TensorId of) {
    const Tensor& source = graph_.tensor(of);
    Tensor t;
    t.name = source.name + ".grad";
    t.type = source.type;
    if (source.kind == TensorKind::parameter)
      t.type.dtype = isMixed(options_.precision) ? options_.gradientDType : source.type.dtype;
    t.kind = TensorKind::gradient;
    t.batchDim = source.batchDim;
    t.sequenceDim = source.sequenceDim;
    t.forward = of;
    return graph_.addTensor(std::move(t));
  }

  void differentiate(OpId id) {
    if (graph_.op(id).def->gradient == GradientKind::none) return;
    std::vector<std::pair<TensorId, uint8_t>> outputGradients;
    const std::vector<TensorId> outputs = graph_.op(id).outputs;
    for (size_t j = 0; j < outputs.size(); ++j)
      if (TensorId g = gradientOf(id, outputs[j]); g.valid())
        outputGradients.emplace_back(g, static_cast<uint8_t>(j));
    if (outputGradients.empty() && !isLoss(id)) return;

    const bool split = graph_.op(id).def->gradient == GradientKind::split;
    const size_t inputs = graph_.op(id).inputs.size();
    if (split) {
      addGradientOperator(id, outputGradients, 0, 1, Phase::backwardInput);
      addGradientOperator(id, outputGradients, 1, inputs, Phase::backwardWeight);
    } else {
      addGradientOperator(id, outputGradients, 0, inputs, Phase::backwardInput);
    }
  }

  void addGradientOperator(OpId id,
                           const std::vector<std::pair<TensorId, uint8_t>>& outputGradients,
                           size_t first, size_t last, Phase phase) {
    const Operator forward = graph_.op(id);
    const std::vector<TensorType> in = graph_.inputTypes(id), out = graph_.outputTypes(id);
    Operator op;
    SlotSet reads;
    for (size_t i = first; i < last; ++i) {
      const TensorId x = forward.inputs[i];
      if (!needed_[x.index()] || !isFloating(graph_.tensor(x).type.dtype)) continue;
      const TensorId gradient = addGradient(x);
      contributionsOf(x).push_back(gradient);
      op.outputs.push_back(gradient);
      op.outputSlots.push_back({Slot::inputGradient, static_cast<uint8_t>(i)});
      if (!forward.def->needs) continue;
      const SlotSet needs = forward.def->needs({forward.attributes, in, out}, static_cast<int>(i));
      reads.inputs |= needs.inputs;
      reads.outputs |= needs.outputs;
    }
    if (op.outputs.empty()) return;
    // The first operand of a weight gradient is the saved input, of an input gradient the incoming
    // gradient: both are the "rows" side of the product.
    const auto addReads = [&](uint32_t bits, const std::vector<TensorId>& tensors,
                              Slot::Kind kind) {
      for (size_t i = 0; i < tensors.size(); ++i)
        if (bits >> i & 1) {
          op.inputs.push_back(tensors[i]);
          op.inputSlots.push_back({kind, static_cast<uint8_t>(i)});
        }
    };
    const auto addIncoming = [&] {
      for (auto [gradient, j] : outputGradients) {
        op.inputs.push_back(gradient);
        op.inputSlots.push_back({Slot::outputGradient, j});
      }
    };
    if (phase == Phase::backwardWeight) {
      addReads(reads.inputs, forward.inputs, Slot::input);
      addIncoming();
    } else {
      addIncoming();
      addReads(reads.inputs, forward.inputs, Slot::input);
    }
    addReads(reads.outputs, forward.outputs, Slot::output);
    op.def = forward.def;
    op.phase = phase;
    op.repeat = forward.repeat;
    op.name = forward.name;
    op.module = forward.module;
    op.attributes = forward.attributes;
    if (forward.def->gradientAttributes)
      for (const auto& [name, value] :
           forward.def->gradientAttributes({forward.attributes, in, out}))
        op.attributes.set(name, value);
    op.forward = id;
    graph_.addOperator(std::move(op));
  }

  std::vector<TensorId>& contributionsOf(TensorId t) { return contributions_[t.index()]; }

  TensorId addState(TensorId parameter, const char* suffix) {
    Tensor t;
    t.name = graph_.tensor(parameter).name + suffix;
    t.type = {stateDType(options_.precision), graph_.tensor(parameter).type.shape};
    t.kind = TensorKind::state;
    t.forward = parameter;
    return graph_.addTensor(std::move(t));
  }

  void addUpdate(TensorId parameter) {
    const std::vector<TensorId> gradients = contributions_[parameter.index()];
    if (gradients.empty()) return;
    Operator op;
    op.def = &operatorDef("Update");
    op.phase = Phase::update;
    op.name = graph_.tensor(parameter).name + ".update";
    op.attributes.set("kind", std::string(optimizerName(options_.optimizer)));
    op.inputs = {parameter};
    op.inputs.insert(op.inputs.end(), gradients.begin(), gradients.end());
    if (isMixed(options_.precision)) op.inputs.push_back(addState(parameter, ".master"));
    static constexpr const char* kStates[] = {".momentum", ".variance"};
    for (int i = 0; i < optimizerStates(options_.optimizer); ++i)
      op.inputs.push_back(addState(parameter, kStates[i]));
    graph_.addOperator(std::move(op));
  }

  Graph& graph_;
  const TrainingOptions& options_;
  std::vector<bool> needed_;
  std::vector<std::vector<TensorId>> contributions_;
};

}  // namespace

Graph trainingGraph(const Graph& forward, const TrainingOptions& options) {
  Graph graph = convert(forward, options.precision);
  Differentiator(graph, options).run();
  return graph;
}

size_t forwardCount(const Graph& training) {
  const auto& ops = training.operators();
  return static_cast<size_t>(
      std::partition_point(ops.begin(), ops.end(),
                           [](const Operator& op) { return op.phase == Phase::forward; }) -
      ops.begin());
}

}  // namespace meshplan
