// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/sockets.h"

#include "backend/comm/stream_group.h"

namespace meshplan {

std::unique_ptr<Communicator> connectSockets(const Rendezvous& rendezvous,
                                             const StreamOptions& options) {
  return connectStreams(rendezvous.rank, socketStreams(joinRanks(rendezvous)), options);
}

}  // namespace meshplan
