// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_matcher.h"

namespace meshplan {

Matcher::Matcher(const Graph& graph)
    : graph_(graph),
      live_(liveOperators(graph, {})),
      readers_(graph.tensorCount()),
      reader_(graph.tensorCount()) {
  for (size_t i = 0; i < live_.size(); ++i) {
    if (!live_[i]) continue;
    for (TensorId t : graph.op(OpId(i)).inputs) {
      if (reader_[t.index()] != OpId(i)) ++readers_[t.index()];
      reader_[t.index()] = OpId(i);
    }
  }
  for (TensorId t : graph.outputs()) {
    ++readers_[t.index()];
    reader_[t.index()] = {};
  }
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

OpId Matcher::onlyReader(TensorId t) const {
  while (readers_[t.index()] == 1) {
    const OpId reader = reader_[t.index()];
    if (!reader.valid() || graph_.op(reader).def->name != "Cast") return reader;
    t = graph_.output(reader);
  }
  return {};
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
