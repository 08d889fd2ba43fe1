// SPDX-License-Identifier: Apache-2.0
#include "core/operators/families.h"

namespace meshplan {

std::span<const OperatorDef> recurrentDefs() {
  return {};
}

}  // namespace meshplan
