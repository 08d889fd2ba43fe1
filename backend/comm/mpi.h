// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/comm/stream_engine.h"

namespace meshplan {

/// Whether libmeshplan_mpi.so (backend/comm/mpi_library.h) can be opened: beside the program, in
/// ../lib, where MESHPLAN_MPI_LIBRARY says, or where the system looks for libraries.
bool mpiAvailable();

/// Ranks as processes of an MPI job, with byte streams made of MPI's messages
/// (backend/comm/stream_group.h). Throws Error(runtime) when the library cannot be opened, and
/// Error(usage) when MPI does not think that this is `rank` of `size`.
std::unique_ptr<Communicator> connectMpi(int rank, int size, StreamOptions options);

}  // namespace meshplan
