// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/work.h"

namespace meshplan {

/// "forward", "backward_input", "backward_weight" or "update".
std::string_view phaseName(Phase phase);

/// An operator's work as a JSON object and back, without loss: `workFromJson(workToJson(w)) == w`,
/// to the last bit of each figure, which must be finite. The operator is named; shapes that say
/// nothing are left out.
std::string workToJson(const OperatorWork& work);

/// Throws Error(input) for anything but such an object. An operator that this version of Meshplan
/// does not know gives a work without a def, if `unknown` allows it.
enum class UnknownOperator { refuse, allow };
OperatorWork workFromJson(const std::string& text,
                          UnknownOperator unknown = UnknownOperator::refuse);

}  // namespace meshplan
