// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/comm/wire.h"

namespace meshplan {

/// How ranks in different processes find each other. Rank 0 listens at address:port; the others
/// come there, prove that they know the token, and are told where everybody else listens. Nobody
/// listens any more once all have joined.
struct Rendezvous {
  int rank = 0, size = 1;
  std::string address = "127.0.0.1";  // name or number; rank 0 listens on this address only
  int port = 0;
  int listener = -1;  // rank 0: a socket that already listens there, taken over
  std::string token;  // the same for all ranks, 1 to 64 characters
  std::chrono::milliseconds within{60000};         // until all ranks have joined
  std::chrono::milliseconds connectWithin{60000};  // until rank 0 listens
};

/// A socket that listens on a free port of the loopback interface, and that port.
Fd listenOnLoopback(int* port);

/// One connection to every other rank (none at [rank]), non-blocking. Whoever connects and does not
/// send a complete greeting with the right token within 5 s, or as a rank that has joined already,
/// is disconnected and changes nothing. Throws Error(runtime) naming the ranks that did not come in
/// time, or saying that rank 0 is not there or refuses this rank.
std::vector<Fd> joinRanks(const Rendezvous& rendezvous);

}  // namespace meshplan
