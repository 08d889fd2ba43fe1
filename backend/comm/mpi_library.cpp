// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/mpi_library.h"

#include <mpi.h>

namespace {

MPI_Comm ours = MPI_COMM_NULL;

int start(int* rank, int* size) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  MPI_Comm_dup(MPI_COMM_WORLD, &ours);
  MPI_Comm_rank(ours, rank);
  MPI_Comm_size(ours, size);
  return provided < MPI_THREAD_SERIALIZED;
}

void* send(const void* data, int bytes, int to) {
  auto* request = new MPI_Request;
  MPI_Isend(data, bytes, MPI_BYTE, to, 0, ours, request);
  return request;
}

void* receive(void* data, int room, int from) {
  auto* request = new MPI_Request;
  MPI_Irecv(data, room, MPI_BYTE, from, 0, ours, request);
  return request;
}

int done(void* handle, int* bytes) {
  auto* request = static_cast<MPI_Request*>(handle);
  int ended = 0;
  MPI_Status status;
  MPI_Test(request, &ended, &status);
  if (!ended) return 0;
  MPI_Get_count(&status, MPI_BYTE, bytes);
  delete request;
  return 1;
}

void cancel(void* request) {
  MPI_Cancel(static_cast<MPI_Request*>(request));
}

void finish() {
  MPI_Comm_free(&ours);
  MPI_Finalize();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const MeshplanMpi* meshplanMpi() {
  static const MeshplanMpi functions = {
      kMeshplanMpiVersion, start, send, receive, done, cancel, finish};
  return &functions;
}
