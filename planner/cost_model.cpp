// SPDX-License-Identifier: Apache-2.0
#include "planner/cost_model.h"

namespace meshplan {

std::string_view provenanceName(Provenance p) {
  switch (p) {
    case Provenance::analytic:
      return "analytic";
    case Provenance::interpolated:
      return "interpolated";
    case Provenance::measured:
      break;
  }
  return "measured";
}

}  // namespace meshplan
