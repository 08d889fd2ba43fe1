// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/import/onnx_node.h"

namespace meshplan {

/// A node as one canonical operator.
struct Canonical {
  std::string_view def;
  std::vector<Value> inputs;
  Attributes attributes;
};

/// How one ONNX operator type is read: as one canonical operator, or as values made in any way.
struct Translation {
  std::string_view type;
  Canonical (*one)(OnnxNode&) = nullptr;
  std::vector<Value> (*many)(OnnxNode&) = nullptr;
};

/// The tables, one per file: constants and shapes, movements, arithmetic and layers, and the fused
/// operators (attention and the contrib ones of ONNX Runtime).
std::span<const Translation> constantTranslations();
std::span<const Translation> movementTranslations();
std::span<const Translation> layerTranslations();
std::span<const Translation> fusedTranslations();

/// The values of one canonical operator: computed at once from known constants, a constant itself
/// when all inputs are (and the weights among them are used whole), else an operator of the graph.
std::vector<Value> realise(OnnxNode& node, Canonical canonical);

/// x · w with a constant matrix w[k,n] (w[n,k] when transposed), as a `Linear`.
std::vector<Value> addLinear(OnnxNode& node, const Value& x, const Value& w, bool transposed,
                             const Value* bias);

}  // namespace meshplan
