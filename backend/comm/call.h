// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "backend/communicator.h"

namespace meshplan {

enum class CommOp : uint8_t {
  sumAll,
  maxAll,
  reduceScatter,
  allGather,
  allToAll,
  broadcast,
  barrier,
  split,
  send,
  receive
};

/// One call of a communicator's operation, as ranks compare it with each other and as it stands in
/// messages: "all-reduce of 1024 elements of fp32", "receive of 64 bytes from rank 3". Counts are
/// those of the Communicator's method; `peer` is the root, receiver or sender as a member of the
/// group (in text: as the rank given).
struct CommCall {
  CommOp op = CommOp::barrier;
  DType type = DType::u8;
  int32_t peer = -1;
  int64_t count = 0;

  bool operator==(const CommCall&) const = default;
};

/// `peerRank`: the world's number of `peer`.
std::string callText(const CommCall& call, int peerRank);

/// Throws Error(internal) when the count is negative or the peer is not a member of the group, and
/// Error(runtime) when the dtype cannot be reduced.
void checkCall(const CommCall& call, int groupSize);

}  // namespace meshplan
