// SPDX-License-Identifier: Apache-2.0
#include "tests/onnx_builder.h"

#include <gtest/gtest.h>

#include "core/import/onnx_import.h"

namespace meshplan {

OnnxFile::OnnxFile(int64_t opset, int64_t ir) {
  model.set_ir_version(ir);
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name("test");
}

OnnxFile& OnnxFile::input(const std::string& name, const std::vector<Dim>& dims, int type) {
  auto* info = graph().add_input();
  info->set_name(name);
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  for (const Dim& dim : dims) {
    auto* d = tensor->mutable_shape()->add_dim();
    if (const auto* extent = std::get_if<int64_t>(&dim))
      d->set_dim_value(*extent);
    else if (!std::get<std::string>(dim).empty())
      d->set_dim_param(std::get<std::string>(dim));
  }
  return *this;
}

OnnxFile& OnnxFile::output(const std::string& name) {
  graph().add_output()->set_name(name);
  return *this;
}

OnnxFile& OnnxFile::weight(const std::string& name, const std::vector<int64_t>& dims, int type) {
  auto* t = graph().add_initializer();
  t->set_name(name);
  t->set_data_type(type);
  for (int64_t d : dims) t->add_dims(d);
  return *this;
}

OnnxFile& OnnxFile::ints(const std::string& name, const std::vector<int64_t>& values) {
  weight(name, {static_cast<int64_t>(values.size())}, 7);
  auto* t = graph().mutable_initializer(graph().initializer_size() - 1);
  for (int64_t v : values) t->add_int64_data(v);
  return *this;
}

OnnxFile& OnnxFile::scalar(const std::string& name, float value) {
  weight(name, {});
  graph().mutable_initializer(graph().initializer_size() - 1)->add_float_data(value);
  return *this;
}

OnnxFile& OnnxFile::node(const std::string& op, const Names& inputs, const Names& outputs,
                         const std::string& name, const std::string& domain) {
  auto* n = graph().add_node();
  n->set_op_type(op);
  n->set_name(name);
  n->set_domain(domain);
  for (const std::string& i : inputs) n->add_input(i);
  for (const std::string& o : outputs) n->add_output(o);
  return *this;
}

onnx::AttributeProto& OnnxFile::add(const std::string& name) {
  auto* a = last().add_attribute();
  a->set_name(name);
  return *a;
}

OnnxFile& OnnxFile::attr(const std::string& name, int64_t value) {
  add(name).set_i(value);
  return *this;
}

OnnxFile& OnnxFile::attr(const std::string& name, double value) {
  add(name).set_f(static_cast<float>(value));
  return *this;
}

OnnxFile& OnnxFile::attr(const std::string& name, const std::string& value) {
  add(name).set_s(value);
  return *this;
}

OnnxFile& OnnxFile::attr(const std::string& name, const std::vector<int64_t>& values) {
  auto& a = add(name);
  for (int64_t v : values) a.add_ints(v);
  return *this;
}

OnnxFile& OnnxFile::attr(const std::string& name, const onnx::GraphProto& value) {
  *add(name).mutable_g() = value;
  return *this;
}

OnnxFile& OnnxFile::metadata(const std::string& key, const std::string& value) {
  auto* entry = last().add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
  return *this;
}

Model OnnxFile::import(const ModelRequest& request) const {
  return importOnnxBytes(bytes(), request);
}

int64_t countOf(const Graph& graph, std::string_view def) {
  int64_t count = 0;
  for (const Operator& op : graph.operators()) count += op.def->name == def;
  return count;
}

const Operator& only(const Graph& graph, std::string_view def) {
  EXPECT_EQ(countOf(graph, def), 1) << def;
  for (const Operator& op : graph.operators())
    if (op.def->name == def) return op;
  throw std::runtime_error("no such operator");
}

double totalFlops(const Graph& graph) {
  double flops = 0;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.op(OpId(i));
    const std::vector<TensorType> in = graph.inputTypes(OpId(i)), out = graph.outputTypes(OpId(i));
    flops += static_cast<double>(op.repeat) * forwardFlops(*op.def, {op.attributes, in, out}).value;
  }
  return flops;
}

}  // namespace meshplan
