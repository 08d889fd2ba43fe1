// SPDX-License-Identifier: Apache-2.0
#include "backend/initial_values.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace meshplan {
namespace {

enum class Role { scale, shift, embedding, product };

Role roleOf(const Graph& graph, const Tensor& parameter) {
  for (OpId id : parameter.consumers) {
    const Operator& op = graph.op(id);
    if (op.phase != Phase::forward) continue;
    const auto slot = std::find_if(op.inputs.begin(), op.inputs.end(),
                                   [&](TensorId t) { return &graph.tensor(t) == &parameter; }) -
                      op.inputs.begin();
    if (op.def->opClass == OpClass::embedding) return Role::embedding;
    if (op.def->opClass == OpClass::normalization && slot > 0)
      return slot == 1 ? Role::scale : Role::shift;
    if (op.def->opClass == OpClass::elementwise)
      return op.def->name == "Mul" ? Role::scale : Role::shift;
    return slot >= 2 && parameter.type.shape.size() <= 2 && op.def->opClass != OpClass::recurrent
               ? Role::shift
               : Role::product;
  }
  return Role::product;
}

/// What one output of a product sums over: all but the output features.
double fanIn(const Graph& graph, const Tensor& parameter) {
  const Shape& shape = parameter.type.shape;
  if (shape.size() < 2) return 1;
  const Operator& op = graph.op(parameter.consumers.front());
  if (op.def->opClass == OpClass::convolution) {
    double fan = 1;
    for (size_t d = 1; d < shape.size(); ++d) fan *= static_cast<double>(shape[d]);
    return fan;
  }
  const bool rows = op.attributes.getInt("transposed", 0) != 0 ||
                    op.attributes.getInt("transB", 0) != 0 || op.def->opClass == OpClass::recurrent;
  return static_cast<double>(rows ? shape.back() : shape[shape.size() - 2]);
}

uint64_t splitmix(uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <class T, class F>
void fill(HostTensor& values, const F& value) {
  T* to = values.as<T>().data();
  const int64_t count = values.elements();
#pragma omp parallel for if (count > (1 << 15))
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(value(i));
}

template <class F>
HostTensor initialValues32(const Shape& shape, const F& value) {
  HostTensor values({DType::f32, shape});
  fill<float>(values, value);
  return values;
}

}  // namespace

double uniformAt(uint64_t seed, uint64_t index) {
  return static_cast<double>(splitmix(seed ^ splitmix(index)) >> 11) * 0x1p-53;
}

double normalAt(uint64_t seed, uint64_t index) {
  const double radius = std::sqrt(-2 * std::log1p(-uniformAt(seed, 2 * index)));
  return radius * std::cos(2 * std::numbers::pi * uniformAt(seed, 2 * index + 1));
}

uint64_t seedOf(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return splitmix(seed ^ hash);
}

HostTensor initialValues(const Graph& graph, TensorId id, uint64_t seed) {
  const Tensor& parameter = graph.tensor(id);
  HostTensor values(parameter.type);
  const Role role = roleOf(graph, parameter);
  if (role == Role::shift) return values;
  constexpr double kEmbedding = 0.02;
  const double deviation =
      role == Role::embedding ? kEmbedding : 1 / std::sqrt(fanIn(graph, parameter));
  const uint64_t own = seedOf(seed, parameter.name);
  const auto value = [&](int64_t i) {
    return role == Role::scale ? 1 : deviation * normalAt(own, static_cast<uint64_t>(i));
  };
  switch (parameter.type.dtype) {
    case DType::f64:
      fill<double>(values, value);
      break;
    case DType::f32:
      fill<float>(values, value);
      break;
    default:
      values = converted(initialValues32(parameter.type.shape, value), parameter.type.dtype);
  }
  return values;
}

}  // namespace meshplan
