// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "planner/cost_model.h"

namespace meshplan {

/// Seconds of one collective on a group of ranks: the fastest of the algorithms that NCCL has for
/// it.
///   ring          all-reduce, reduce-scatter, all-gather, broadcast: 2(n-1) or n-1 steps
///   tree          all-reduce across nodes: chains inside the nodes, a double binary tree between
///   them multicast     all-reduce inside a node whose switches reduce (NVLS) hierarchical
///   all-reduce across such nodes: multicast inside, rings over all adapters between direct
///   all-to-all, send
/// each latency + bytes / bandwidth, where the latency rises from that of NCCL's LL protocol to
/// that of Simple as the message grows (docs/cost_model.md, "Communication", has the formulas,
/// their constants and the fit). Non-decreasing in bytes, and in ranks for an equal number of ranks
/// per node. An all-reduce takes at most a reduce-scatter and an all-gather. Never below wireBytes
/// / bandwidth, except that multicast needs only half of these bytes.
Estimate collectiveCost(CollectiveKind kind, Bytes bytes, const GroupTopology& group);

}  // namespace meshplan
