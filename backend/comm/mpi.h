// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "backend/communicator.h"

namespace meshplan {

/// Ranks as processes of an MPI job. The code that needs MPI is a shared library of its own
/// (libmeshplan_mpi.so), opened when this is called: beside the program, in ../lib, where
/// MESHPLAN_MPI_LIBRARY says, or where the system looks for libraries. Throws Error(runtime) when
/// Meshplan was built without MPI or the library cannot be opened.
std::unique_ptr<Communicator> connectMpi();

}  // namespace meshplan
