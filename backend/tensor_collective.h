// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/communicator.h"
#include "backend/rank_device.h"

namespace meshplan {

/// Collectives on tensors whose parts are not contiguous: parts are packed before and unpacked
/// after through staging memory of the device, which grows to the largest demand.
class TensorCollective {
 public:
  explicit TensorCollective(RankDevice& device) : device_(device) {}

  void allReduce(Communicator& group, const TensorView& in, const TensorView& out);
  /// Rank i's sum is part i of dimension `cut` of `in`.
  void reduceScatter(Communicator& group, const TensorView& in, const TensorView& out, int cut);
  /// Rank i's `in` becomes part i of dimension `join` of `out`.
  void allGather(Communicator& group, const TensorView& in, const TensorView& out, int join);
  /// Part i of dimension `cut` of `in` goes to rank i, where rank j's becomes part j of dimension
  /// `join` of `out`.
  void allToAll(Communicator& group, const TensorView& in, const TensorView& out, int cut,
                int join);
  /// This rank's part of dimension `cut`, of as many equal parts as the extents say.
  void slice(int64_t part, const TensorView& in, const TensorView& out, int cut);

 private:
  std::byte* staging(int which, int64_t bytes);

  RankDevice& device_;
  std::byte* staging_[2] = {nullptr, nullptr};
  int64_t stagingBytes_[2] = {0, 0};
};

}  // namespace meshplan
