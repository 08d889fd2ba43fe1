// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "backend/comm/sockets.h"

namespace meshplan {

/// A secret that nobody can guess: 32 hexadecimal digits.
std::string randomToken();

/// connectSockets for ranks of one host that know nothing but the name of their job: rank 0 listens
/// on a free port of the loopback interface and writes the port and a token to
/// /tmp/meshplan-UID/JOB, which only its user can read; the others wait for that file. It is gone
/// when all have joined; one left over from a job that crashed is recognised and ignored. Throws
/// Error(runtime) as connectSockets does, and when the folder belongs to somebody else.
std::unique_ptr<Communicator> connectThroughFile(Rendezvous rendezvous, const std::string& job,
                                                 const StreamOptions& options = {});

}  // namespace meshplan
