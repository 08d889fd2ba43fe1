// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/comm/rendezvous.h"
#include "backend/comm/stream_engine.h"

namespace meshplan {

/// Ranks as processes (backend/comm/stream_group.h), on one host or several, over one TCP
/// connection between any two.
std::unique_ptr<Communicator> connectSockets(const Rendezvous& rendezvous,
                                             const StreamOptions& options = {});

}  // namespace meshplan
