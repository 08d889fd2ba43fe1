// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/model.h"

namespace meshplan {

/// Models by name: transformers as the fields of their published configs, convolutional networks
/// and a perceptron as code. `--set` overrides fields of transformers (layers, hidden, heads,
/// kv_heads, ffn, vocab, seq and dropout are known everywhere besides the config's own names) and
/// says how convolutional networks are executed (core/import/image_kernels.h).
struct ZooEntry {
  std::string_view name, description;
};

/// All names in the order in which `meshplan models` prints them.
std::span<const ZooEntry> modelZoo();

/// Throws Error(usage) with the nearest names for an unknown one.
Model buildZooModel(const ModelRequest& request);

}  // namespace meshplan
