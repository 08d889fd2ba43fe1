// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_rewrite.h"

namespace meshplan {
namespace {

template <class Visit>
void forEachInput(const Graph& graph, const Replacements& replacements, OpId id, Visit visit) {
  const auto replaced = replacements.find(id);
  if (replaced == replacements.end()) {
    for (TensorId t : graph.op(id).inputs) visit(t);
    return;
  }
  for (const Step& step : replaced->second.steps)
    for (const StepInput& input : step.inputs)
      if (input.tensor.valid()) visit(input.tensor);
}

class Rewriter {
 public:
  Rewriter(const Graph& source, const Replacements& replacements, std::vector<TensorId>& map)
      : source_(source), replacements_(replacements), map_(map) {
    map_.assign(source.tensorCount(), TensorId());
  }

  Graph run() {
    const std::vector<bool> live = liveOperators(source_, replacements_);
    for (size_t i = 0; i < source_.tensorCount(); ++i)
      if (source_.tensor(TensorId(i)).kind == TensorKind::input) mapped(TensorId(i));
    for (size_t i = 0; i < live.size(); ++i)
      if (live[i]) copy(OpId(i));
    for (TensorId t : source_.outputs()) graph_.outputs().push_back(mapped(t));
    return std::move(graph_);
  }

 private:
  TensorId mapped(TensorId t) {
    TensorId& target = map_[t.index()];
    if (target.valid()) return target;
    Tensor tensor = source_.tensor(t);
    tensor.producer = {};
    tensor.consumers.clear();
    return target = graph_.addTensor(std::move(tensor));
  }

  void copy(OpId id) {
    const Operator& op = source_.op(id);
    if (const auto it = replacements_.find(id); it != replacements_.end())
      return replace(op, it->second);
    Operator copied = op;
    for (TensorId& t : copied.inputs) t = mapped(t);
    for (TensorId& t : copied.outputs) t = mapped(t);
    graph_.addOperator(std::move(copied));
  }

  void replace(const Operator& op, const Replacement& replacement) {
    std::vector<TensorId> results;
    for (size_t i = 0; i < replacement.steps.size(); ++i) {
      const Step& step = replacement.steps[i];
      std::vector<TensorId> inputs;
      for (const StepInput& input : step.inputs)
        inputs.push_back(input.tensor.valid() ? mapped(input.tensor)
                                              : results[static_cast<size_t>(input.step)]);
      const bool last = i + 1 == replacement.steps.size();
      const std::string name = last ? op.name : op.name + "." + std::to_string(i);
      const OpId id = graph_.addOperator(step.def, inputs, step.attributes, name, op.module);
      graph_.op(id).repeat = op.repeat;
      results.push_back(graph_.output(id));
    }
    map_[op.outputs[0].index()] = results.back();
    graph_.tensor(results.back()).name = source_.tensor(op.outputs[0]).name;
  }

  const Graph& source_;
  const Replacements& replacements_;
  std::vector<TensorId>& map_;
  Graph graph_;
};

}  // namespace

std::vector<bool> liveOperators(const Graph& graph, const Replacements& replacements) {
  std::vector<bool> wanted(graph.tensorCount()), live(graph.operatorCount());
  for (TensorId t : graph.outputs()) wanted[t.index()] = true;
  for (size_t i = graph.operatorCount(); i-- > 0;) {
    for (TensorId t : graph.op(OpId(i)).outputs) live[i] = live[i] || wanted[t.index()];
    if (live[i])
      forEachInput(graph, replacements, OpId(i), [&](TensorId t) { wanted[t.index()] = true; });
  }
  return live;
}

Graph rewrite(const Graph& graph, const Replacements& replacements, std::vector<TensorId>& map) {
  return Rewriter(graph, replacements, map).run();
}

}  // namespace meshplan
