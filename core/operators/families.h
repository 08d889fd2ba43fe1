// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/operator.h"

namespace meshplan {

/// The operator families, one file each in this folder. Each function returns a constant table;
/// `operatorDefs()` assembles them once, in this order. docs/operators.md lists what they hold.
std::span<const OperatorDef> contractionDefs();
std::span<const OperatorDef> convolutionDefs();
std::span<const OperatorDef> poolingDefs();
std::span<const OperatorDef> attentionDefs();
std::span<const OperatorDef> normalizationDefs();
std::span<const OperatorDef> elementwiseDefs();
std::span<const OperatorDef>
headsDefs();  // the movements of transformers: SplitHeads, MergeHeads ...
std::span<const OperatorDef> viewDefs();  // Reshape, Flatten, Squeeze, Unsqueeze
std::span<const OperatorDef> movementDefs();
std::span<const OperatorDef> gatherDefs();  // movements by index tensors
std::span<const OperatorDef> reductionDefs();
std::span<const OperatorDef> embeddingDefs();
std::span<const OperatorDef> lossDefs();
std::span<const OperatorDef> recurrentDefs();
std::span<const OperatorDef> moeDefs();
std::span<const OperatorDef> optimizerDefs();
std::span<const OperatorDef> opaqueDefs();

}  // namespace meshplan
