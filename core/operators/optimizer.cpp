// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferUpdate(const Attributes&, Types in) {
  expectInputs(in, 2, 8);
  for (const TensorType& t : in)
    if (t.shape != in[0].shape)
      rejectInputs("an optimizer state of shape " + shapeText(t.shape) + " does not fit " +
                   shapeText(in[0].shape));
  return {};
}

LoopNest nestUpdate(const OpContext& c) {
  LoopNest nest;
  const Shape& shape = c.inputs[0].shape;
  const std::vector<int8_t> dims = addDims(nest, shape);
  nest.inputs.assign(c.inputs.size(), broadcastWalk(shape, shape, dims));
  return nest;
}

/// Multiplications, additions, roots and divisions per parameter, by update rule (Kingma and Ba
/// 2015, algorithm 1; the decoupled decay of AdamW adds two).
double flopsUpdate(const OpContext& c) {
  const std::string kind = c.attributes.getString("kind", "sgd");
  const double each = kind == "sgd" ? 2 : kind == "momentum" ? 4 : kind == "adam" ? 12 : 14;
  return each * static_cast<double>(c.inputs[0].elements());
}

/// Everything is read, and all but the gradient written back.
double bytesUpdate(const OpContext& c) {
  double bytes = 0;
  for (size_t i = 0; i < c.inputs.size(); ++i)
    bytes += (i == 1 ? 1.0 : 2.0) * static_cast<double>(c.inputs[i].bytes().value);
  return bytes;
}

constexpr std::array kDefs{OperatorDef{.name = "Update",
                                       .opClass = OpClass::optimizer,
                                       .infer = inferUpdate,
                                       .nest = nestUpdate,
                                       .flops = flopsUpdate,
                                       .bytes = bytesUpdate}};

}  // namespace

std::span<const OperatorDef> optimizerDefs() {
  return kDefs;
}

}  // namespace meshplan
