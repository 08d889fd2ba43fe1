// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_matcher.h"

#include <algorithm>

namespace meshplan {

Matcher::Matcher(const Graph& graph)
    : graph_(graph), live_(liveOperators(graph, {})), output_(graph.tensorCount()) {
  for (TensorId t : graph.outputs()) output_[t.index()] = true;
}

TensorId Matcher::strip(TensorId t) const {
  while (true) {
    const OpId id = graph_.tensor(t).producer;
    if (!id.valid() || graph_.op(id).def->name != "Cast") return t;
    t = graph_.op(id).inputs[0];
  }
}

const Operator* Matcher::producer(TensorId t) const {
  const OpId id = graph_.tensor(strip(t)).producer;
  return id.valid() ? &graph_.op(id) : nullptr;
}

const Operator* Matcher::made(TensorId t, std::string_view def) const {
  const Operator* op = producer(t);
  return op && op->def->name == def ? op : nullptr;
}

std::vector<OpId> Matcher::readers(TensorId t) const {
  std::vector<OpId> result;
  for (OpId id : graph_.tensor(t).consumers)
    if (live_[id.index()]) result.push_back(id);
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  if (output_[t.index()]) result.emplace_back();
  return result;
}

OpId Matcher::onlyReader(TensorId t) const {
  while (true) {
    const std::vector<OpId> all = readers(t);
    if (all.size() != 1 || !all[0].valid()) return {};
    if (graph_.op(all[0]).def->name != "Cast") return all[0];
    t = graph_.output(all[0]);
  }
}

bool Matcher::isConstant(TensorId t) const {
  const TensorKind kind = graph_.tensor(strip(t)).kind;
  return kind == TensorKind::constant || kind == TensorKind::parameter;
}

bool Matcher::isParameter(TensorId t) const {
  return graph_.tensor(strip(t)).kind == TensorKind::parameter;
}

TensorId Matcher::other(const Operator& op, TensorId input) const {
  if (op.inputs.size() != 2) return {};
  if (same(op.inputs[0], input)) return op.inputs[1];
  if (same(op.inputs[1], input)) return op.inputs[0];
  return {};
}

}  // namespace meshplan
