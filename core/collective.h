// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace meshplan {

/// What changes one placement into another (docs/architecture.md). `slice` is local and free;
/// `sendReceive` joins two pipeline stages.
enum class CollectiveKind : uint8_t {
  none,
  slice,
  allReduce,
  reduceScatter,
  allGather,
  allToAll,
  broadcast,
  sendReceive
};
std::string_view collectiveName(CollectiveKind k);

/// Bytes that each rank puts on the wire, with S the full bytes of the tensor on the group (the
/// unsharded tensor for reduce-scatter and all-gather) and n ranks: all-reduce 2(n-1)/n S,
/// reduce-scatter and all-gather (n-1)/n S, all-to-all (n-1)/n S/n, broadcast and send S. (NCCL's
/// bus-bandwidth factors, nccl-tests doc/PERFORMANCE.md.)
double wireBytes(CollectiveKind kind, double fullBytes, int64_t ranks);

}  // namespace meshplan
