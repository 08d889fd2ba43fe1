// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

/// Nothing is split, but a leading dimension that the first input shares with others is followed,
/// so that the batch is not lost behind an operator that is not known.
LoopNest nestOpaque(const OpContext& c) {
  LoopNest nest;
  int64_t lead = -1;
  int8_t axis = kNoAxis;
  if (!c.inputs.empty() && !c.inputs[0].shape.empty()) {
    lead = c.inputs[0].shape[0];
    axis = nest.addAxis("dim0", lead, AxisKind::opaque);
  }
  const auto walkOf = [&](const TensorType& t) {
    TensorWalk walk(t.shape.size());
    if (!t.shape.empty() && t.shape[0] == lead) walk[0].outer = axis;
    return walk;
  };
  for (const TensorType& t : c.inputs) nest.inputs.push_back(walkOf(t));
  for (const TensorType& t : c.outputs) nest.outputs.push_back(walkOf(t));
  return nest;
}

constexpr std::array kDefs{OperatorDef{.name = "Opaque",
                                       .opClass = OpClass::opaque,
                                       .infer = inferSame,
                                       .nest = nestOpaque,
                                       .gradient = GradientKind::fused,
                                       .needs = needsInputs}};

}  // namespace

std::span<const OperatorDef> opaqueDefs() {
  return kDefs;
}

}  // namespace meshplan
