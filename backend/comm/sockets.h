// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/comm/rendezvous.h"
#include "backend/comm/socket_engine.h"

namespace meshplan {

/// Ranks as processes, on one host or several, over one TCP connection between any two. Collectives
/// exchange directly between all members; sums are made in rank order by the rank whose share it is
/// (backend/comm/ordered_reduction.h), so results have the same bits as in one process. A rank uses
/// its communicators from one thread at a time; those made by `split` must not outlive this one.
std::unique_ptr<Communicator> connectSockets(const Rendezvous& rendezvous,
                                             const SocketOptions& options = {});

}  // namespace meshplan
