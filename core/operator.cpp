// SPDX-License-Identifier: Apache-2.0
#include "core/operator.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/operators/families.h"

namespace meshplan {
namespace {

/// All defs in family order, and their positions sorted by name.
struct Registry {
  std::vector<OperatorDef> defs;
  std::vector<uint16_t> byName;
};

Registry assemble() {
  Registry registry;
  for (const auto family :
       {contractionDefs(), convolutionDefs(), poolingDefs(), attentionDefs(), normalizationDefs(),
        elementwiseDefs(), headsDefs(), viewDefs(), movementDefs(), gatherDefs(), reductionDefs(),
        embeddingDefs(), lossDefs(), recurrentDefs(), moeDefs(), optimizerDefs(), opaqueDefs()})
    registry.defs.insert(registry.defs.end(), family.begin(), family.end());
  for (size_t i = 0; i < registry.defs.size(); ++i)
    registry.byName.push_back(static_cast<uint16_t>(i));
  std::sort(registry.byName.begin(), registry.byName.end(),
            [&](uint16_t a, uint16_t b) { return registry.defs[a].name < registry.defs[b].name; });
  return registry;
}

const Registry& registry() {
  static const Registry kRegistry = assemble();
  return kRegistry;
}

bool isProductOfAxes(OpClass c) {
  return c == OpClass::contraction || c == OpClass::convolution;
}

bool isWithoutArithmetic(OpClass c) {
  return c == OpClass::view || c == OpClass::movement || c == OpClass::embedding;
}

double totalBytes(std::span<const TensorType> types) {
  double bytes = 0;
  for (const TensorType& t : types) bytes += static_cast<double>(t.bytes().value);
  return bytes;
}

/// The product of the extents a dimension walks, or -1 where it walks none or one with neighbours.
int64_t walkedExtent(const LoopNest& nest, const DimWalk& walk) {
  int64_t extent = walk == DimWalk{} ? -1 : 1;
  for (int8_t axis : {walk.outer, walk.middle, walk.inner}) {
    if (axis == kNoAxis) continue;
    if (nest.axes[static_cast<size_t>(axis)].kind == AxisKind::halo) return -1;
    extent *= nest.axes[static_cast<size_t>(axis)].extent;
  }
  return extent;
}

bool walksMatch(const LoopNest& nest, const std::vector<TensorWalk>& walks,
                std::span<const TensorType> types) {
  if (walks.size() != types.size()) return false;
  for (size_t i = 0; i < walks.size(); ++i) {
    if (walks[i].size() != types[i].shape.size()) return false;
    for (size_t d = 0; d < walks[i].size(); ++d) {
      const int64_t extent = walkedExtent(nest, walks[i][d]);
      if (extent >= 0 && extent != types[i].shape[d]) return false;
    }
  }
  return true;
}

}  // namespace

const OperatorDef* findOperatorDef(std::string_view name) {
  const Registry& r = registry();
  const auto at =
      std::lower_bound(r.byName.begin(), r.byName.end(), name,
                       [&](uint16_t i, std::string_view n) { return r.defs[i].name < n; });
  return at != r.byName.end() && r.defs[*at].name == name ? &r.defs[*at] : nullptr;
}

const OperatorDef& operatorDef(std::string_view name) {
  if (const OperatorDef* def = findOperatorDef(name)) return *def;
  throw Error(ErrorKind::internal, "there is no operator '" + std::string(name) + "'");
}

std::span<const OperatorDef> operatorDefs() {
  return registry().defs;
}

Flops forwardFlops(const OperatorDef& def, const OpContext& context) {
  if (def.flops) return Flops(def.flops(context));
  if (isWithoutArithmetic(def.opClass)) return Flops(0);
  double flops = 0;
  if (isProductOfAxes(def.opClass)) {
    flops = 2;
    for (const Axis& axis : def.nest(context).axes) flops *= static_cast<double>(axis.extent);
    return Flops(flops);
  }
  for (const TensorType& t : context.outputs) flops += static_cast<double>(t.elements());
  return Flops(flops);
}

double forwardBytes(const OperatorDef& def, const OpContext& context) {
  if (def.bytes) return def.bytes(context);
  if (def.opClass == OpClass::view) return 0;
  return (1 + def.rereads) * totalBytes(context.inputs) + totalBytes(context.outputs);
}

double backwardRatio(const OperatorDef& def, const Attributes& attributes) {
  return def.backwardFlopsOf ? def.backwardFlopsOf(attributes) : def.backwardFlops;
}

bool nestMatchesTypes(const LoopNest& nest, const OpContext& context) {
  return walksMatch(nest, nest.inputs, context.inputs) &&
         walksMatch(nest, nest.outputs, context.outputs);
}

}  // namespace meshplan
