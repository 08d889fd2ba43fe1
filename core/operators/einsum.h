// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/operator.h"

namespace meshplan {

/// Einstein summation: attribute `equation`, as in numpy ("bhqd,bhkd->bhqk", "...ij,jk", implicit
/// output in alphabetical order). Every letter is an axis; one that the output lacks is reduced;
/// one that an operand repeats (a diagonal) is never split.
std::vector<TensorType> inferEinsum(const Attributes& attributes,
                                    std::span<const TensorType> inputs);
LoopNest nestEinsum(const OpContext& context);

}  // namespace meshplan
