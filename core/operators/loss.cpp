// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferCrossEntropy(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[0], 1);
  const Shape& logits = in[0].shape;
  if (in[1].shape != Shape(logits.begin(), logits.end() - 1))
    rejectInputs("labels of shape " + shapeText(in[1].shape) + " do not fit logits of shape " +
                 shapeText(logits));
  return {{in[0].dtype == DType::f64 ? DType::f64 : DType::f32, {}}};
}

LoopNest nestCrossEntropy(const OpContext& c) {
  LoopNest nest;
  TensorWalk rows;
  const Shape& logits = c.inputs[0].shape;
  addRows(nest, rows, logits, logits.size() - 1, AxisKind::reduce);
  nest.inputs = {rows, rows};
  nest.inputs[0].push_back({nest.addAxis("vocab", logits.back(), AxisKind::normalised)});
  nest.outputs = {{}};
  return nest;
}

/// Maximum, subtraction, exponential, sum and logarithm per logit.
double flopsCrossEntropy(const OpContext& c) {
  return 5 * static_cast<double>(c.inputs[0].elements());
}

std::vector<TensorType> inferSquaredError(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  if (in[0].shape != in[1].shape)
    rejectInputs("the target of shape " + shapeText(in[1].shape) + " does not fit " +
                 shapeText(in[0].shape));
  return {{in[0].dtype == DType::f64 ? DType::f64 : DType::f32, {}}};
}

/// PyTorch's log-softmax reads and writes the logits once. Megatron-LM's vocabulary-parallel loss
/// (megatron/core/tensor_parallel/cross_entropy.py) takes the maximum, subtracts it, exponentiates,
/// sums and divides in five kernels: eight passes.
double bytesCrossEntropy(const OpContext& c) {
  const double passes = c.attributes.getInt("unfused", 0) != 0 ? 8 : 2;
  return passes * static_cast<double>(c.inputs[0].bytes().value) +
         static_cast<double>(c.inputs[1].bytes().value);
}

LoopNest nestSquaredError(const OpContext& c) {
  LoopNest nest;
  TensorWalk rows;
  addRows(nest, rows, c.inputs[0].shape, c.inputs[0].shape.size(), AxisKind::reduce);
  nest.inputs = {rows, rows};
  nest.outputs = {{}};
  return nest;
}

double flopsSquaredError(const OpContext& c) {
  return 3 * static_cast<double>(c.inputs[0].elements());
}

constexpr std::array kDefs{OperatorDef{.name = "CrossEntropy",
                                       .opClass = OpClass::loss,
                                       .infer = inferCrossEntropy,
                                       .nest = nestCrossEntropy,
                                       .flops = flopsCrossEntropy,
                                       .bytes = bytesCrossEntropy,
                                       .gradient = GradientKind::fused,
                                       .needs = needsInputs},
                           OperatorDef{.name = "MeanSquaredError",
                                       .opClass = OpClass::loss,
                                       .infer = inferSquaredError,
                                       .nest = nestSquaredError,
                                       .flops = flopsSquaredError,
                                       .gradient = GradientKind::fused,
                                       .needs = needsInputs}};

}  // namespace

std::span<const OperatorDef> lossDefs() {
  return kDefs;
}

}  // namespace meshplan
