// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What Meshplan needs of MPI, as a table of C functions: the only thing that knows mpi.h is the
/// shared library libmeshplan_mpi.so, which exports `meshplanMpi` and is opened by mpirun's ranks
/// alone. Requests are handles that `done` frees when it returns 1; a receive that was
/// cancelled is done soon.
struct MeshplanMpi {
  int version;  // kMeshplanMpiVersion of the library's build
  /// MPI_Init_thread and a communicator of our own. 0, or 1 when MPI's threads are not serialized.
  int (*start)(int* rank, int* size);
  void* (*send)(const void* data, int bytes, int to);
  void* (*receive)(void* data, int room, int from);
  int (*done)(void* request, int* bytes);
  void (*cancel)(void* request);
  void (*finish)();
};

constexpr int kMeshplanMpiVersion = 1;

using MeshplanMpiEntry = const MeshplanMpi* (*)();
