// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/mpi.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "backend/comm/mpi_library.h"
#include "backend/comm/stream_group.h"
#include "backend/dynamic_library.h"
#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using Buffer = std::unique_ptr<std::byte[]>;

constexpr const char* kLibrary = "libmeshplan_mpi.so";
constexpr size_t kChunk = size_t(256) << 10;
constexpr auto kEnd = 2s;

std::vector<std::string> placesToLook() {
  if (const char* given = std::getenv("MESHPLAN_MPI_LIBRARY")) return {given};
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::vector<std::string> places;
  for (const char* relative : {"", "../lib", "../backend", "../../backend", "../../../backend"})
    places.push_back((folder / relative / kLibrary).string());
  places.push_back(kLibrary);
  return places;
}

/// The functions of the first library found, or why there is none.
const MeshplanMpi* openLibrary(std::string& reason) {
  for (const std::string& place : placesToLook()) {
    const auto library = DynamicLibrary::open(place, reason, DynamicLibrary::Symbols::shared);
    if (!library) continue;
    const auto entry = reinterpret_cast<MeshplanMpiEntry>(library->find("meshplanMpi"));
    const MeshplanMpi* mpi = entry ? entry() : nullptr;
    if (mpi && mpi->version == kMeshplanMpiVersion) return mpi;
    reason = fmt::format("{} is of another version of Meshplan", place);
  }
  return nullptr;
}

class MpiStream final : public ByteStream {
 public:
  MpiStream(const MeshplanMpi& mpi, int peer) : mpi_(mpi), peer_(peer) {
    for (Incoming& in : in_) post(in);
  }
  ~MpiStream() override;

  int fd() const override { return -1; }
  int64_t write(std::span<const iovec> pieces) override;
  int64_t read(void* to, size_t room) override;

 private:
  struct Outgoing {
    Buffer data = std::make_unique_for_overwrite<std::byte[]>(kChunk);
    void* request = nullptr;
    int bytes = 0;
  };
  struct Incoming {
    Buffer data = std::make_unique_for_overwrite<std::byte[]>(kChunk);
    void* request = nullptr;
    int bytes = 0;
    size_t taken = 0;
  };

  template <class Transfer>
  bool ended(Transfer& transfer) {
    if (transfer.request && mpi_.done(transfer.request, &transfer.bytes))
      transfer.request = nullptr;
    return !transfer.request;
  }
  void post(Incoming& in) {
    in.request = mpi_.receive(in.data.get(), int(kChunk), peer_);
    in.taken = 0;
  }

  const MeshplanMpi& mpi_;
  const int peer_;
  std::array<Outgoing, 4> out_;
  std::array<Incoming, 2> in_;  // messages arrive in the order in which receives were posted
  size_t current_ = 0;
};

// MPI may still use the memory of requests that do not end, because their peer has failed.
MpiStream::~MpiStream() {
  const auto until = Clock::now() + kEnd;
  const auto end = [&](auto& transfer) {
    while (!ended(transfer) && Clock::now() < until) std::this_thread::yield();
    if (!ended(transfer)) (void)transfer.data.release();
  };
  for (Outgoing& out : out_) end(out);
  for (Incoming& in : in_) {
    if (in.request) mpi_.cancel(in.request);
    end(in);
  }
}

int64_t MpiStream::write(std::span<const iovec> pieces) {
  const auto out = std::find_if(out_.begin(), out_.end(), [this](Outgoing& o) { return ended(o); });
  if (out == out_.end()) return 0;
  size_t bytes = 0;
  for (const iovec& piece : pieces) {
    const size_t n = std::min(piece.iov_len, kChunk - bytes);
    std::memcpy(out->data.get() + bytes, piece.iov_base, n);
    bytes += n;
  }
  out->request = mpi_.send(out->data.get(), int(bytes), peer_);
  return int64_t(bytes);
}

int64_t MpiStream::read(void* to, size_t room) {
  Incoming& in = in_[current_];
  if (!ended(in)) return 0;
  const size_t n = std::min(room, size_t(in.bytes) - in.taken);
  std::memcpy(to, in.data.get() + in.taken, n);
  in.taken += n;
  if (in.taken < size_t(in.bytes)) return int64_t(n);
  post(in);
  current_ = (current_ + 1) % in_.size();
  return int64_t(n);
}

}  // namespace

bool mpiAvailable() {
  std::string ignored;
  return openLibrary(ignored) != nullptr;
}

std::unique_ptr<Communicator> connectMpi(int rank, int size, StreamOptions options) {
  std::string reason;
  const MeshplanMpi* mpi = openLibrary(reason);
  if (!mpi)
    throw Error(
        ErrorKind::runtime, fmt::format("mpirun started this rank, but {}", reason),
        "build Meshplan with Open MPI's headers (libopenmpi-dev), set MESHPLAN_MPI_LIBRARY to "
        "libmeshplan_mpi.so, or start the ranks with torchrun or srun");
  int mpiRank = 0, mpiSize = 0;
  if (mpi->start(&mpiRank, &mpiSize) != 0)
    throw Error(ErrorKind::runtime, "this MPI does not allow calls from several threads",
                "use an MPI that provides MPI_THREAD_SERIALIZED");
  if (mpiRank != rank || mpiSize != size)
    throw Error(ErrorKind::usage,
                fmt::format("mpirun says that this is rank {} of {}, MPI that it is rank {} of {}",
                            rank, size, mpiRank, mpiSize),
                "use the mpirun of the MPI that Meshplan was built with, or set "
                "MESHPLAN_COMMUNICATOR=sockets");
  ByteStreams streams(static_cast<size_t>(size));
  for (int peer = 0; peer < size; ++peer)
    if (peer != rank) streams[size_t(peer)] = std::make_unique<MpiStream>(*mpi, peer);
  options.closed = mpi->finish;
  return connectStreams(rank, std::move(streams), options);
}

}  // namespace meshplan
