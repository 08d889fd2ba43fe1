// SPDX-License-Identifier: Apache-2.0
#include "core/collective.h"

namespace meshplan {

std::string_view collectiveName(CollectiveKind k) {
  switch (k) {
    case CollectiveKind::none:
      return "none";
    case CollectiveKind::slice:
      return "slice";
    case CollectiveKind::allReduce:
      return "all-reduce";
    case CollectiveKind::reduceScatter:
      return "reduce-scatter";
    case CollectiveKind::allGather:
      return "all-gather";
    case CollectiveKind::allToAll:
      return "all-to-all";
    case CollectiveKind::broadcast:
      return "broadcast";
    case CollectiveKind::sendReceive:
      return "send-receive";
  }
  return "none";
}

double wireBytes(CollectiveKind kind, double fullBytes, int64_t ranks) {
  if (ranks <= 1) return kind == CollectiveKind::sendReceive ? fullBytes : 0;
  const double n = static_cast<double>(ranks);
  switch (kind) {
    case CollectiveKind::none:
    case CollectiveKind::slice:
      return 0;
    case CollectiveKind::allReduce:
      return 2 * (n - 1) / n * fullBytes;
    case CollectiveKind::reduceScatter:
    case CollectiveKind::allGather:
      return (n - 1) / n * fullBytes;
    case CollectiveKind::allToAll:
      return (n - 1) / n * fullBytes / n;
    case CollectiveKind::broadcast:
    case CollectiveKind::sendReceive:
      return fullBytes;
  }
  return 0;
}

}  // namespace meshplan
