// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/comm/stream_engine.h"

namespace meshplan {

/// Ranks as processes with a byte stream between any two. Collectives exchange directly between all
/// members; sums are made in rank order by the rank whose share it is
/// (backend/comm/ordered_reduction.h), so results have the same bits as in one process. A rank uses
/// its communicators from one thread at a time; those made by `split` must not outlive this one.
std::unique_ptr<Communicator> connectStreams(int rank, ByteStreams streams,
                                             const StreamOptions& options);

}  // namespace meshplan
