// SPDX-License-Identifier: Apache-2.0
#include "backend/initial_values.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/normal_numbers.h"
#include "core/units.h"

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

HostTensor constant(Shape shape, float value) {
  HostTensor values({DType::f32, std::move(shape)});
  std::fill(values.as<float>().begin(), values.as<float>().end(), value);
  return values;
}

}  // namespace

HostTensor normalValues(Shape shape, const PlacedRandom& random, float deviation) {
  HostTensor values({DType::f32, std::move(shape)});
  float* to = values.as<float>().data();
  constexpr int64_t kPiece = 1 << 14;
  const int64_t count = values.elements(), pieces = ceilDiv(count, kPiece);
#pragma omp parallel for if (pieces > 4)
  for (int64_t p = 0; p < pieces; ++p)
    drawNormals(random, deviation, p * kPiece, std::min(count, (p + 1) * kPiece), to);
  return values;
}

HostTensor initialValues(const Graph& graph, TensorId id, uint64_t seed) {
  const Tensor& parameter = graph.tensor(id);
  const Role role = roleOf(graph, parameter);
  if (role == Role::shift) return HostTensor(parameter.type);
  constexpr double kEmbedding = 0.02;
  const double deviation =
      role == Role::embedding ? kEmbedding : 1 / std::sqrt(fanIn(graph, parameter));
  const Shape& shape = parameter.type.shape;
  HostTensor values = role == Role::scale ? constant(shape, 1)
                                          : normalValues(shape, PlacedRandom(seed, parameter.name),
                                                         static_cast<float>(deviation));
  return parameter.type.dtype == DType::f32 ? std::move(values)
                                            : converted(values, parameter.type.dtype);
}

}  // namespace meshplan
