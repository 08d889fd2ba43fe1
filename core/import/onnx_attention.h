// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/import/onnx_matcher.h"

namespace meshplan {

/// Recognises scaled-dot-product attention that ends in the product `id`: softmax of q·kᵀ, scaled
/// before or after, with masks added or selected, dropout and guards, times v. Keys that were
/// repeated for groups of query heads are read unrepeated. A causal mask becomes an attribute, a
/// computed one an input; constant ones are dropped.
std::optional<Replacement> matchAttention(const Matcher& matcher, OpId id,
                                          const std::function<bool(TensorId)>& causal,
                                          const std::string& implementation);

}  // namespace meshplan
