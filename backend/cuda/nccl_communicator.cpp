// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/nccl_communicator.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "backend/comm/call.h"
#include "backend/cuda/nccl_rank.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// What ranks tell each other before NCCL begins.
struct Peer {
  int32_t version = 0, device = 0;
  char uuid[16] = {};
  char host[64] = {};
};

ncclDataType_t typeOf(DType type) {
  switch (type) {
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f16:
      return ncclFloat16;
    default:
      return ncclFloat32;  // checkCall has refused all others
  }
}

class NcclGroup final : public Communicator {
 public:
  NcclGroup(std::unique_ptr<NcclRank> rank, Communicator& hosts, ncclComm_t comm);
  NcclGroup(NcclRank& rank, std::unique_ptr<Communicator> hosts, ncclComm_t comm)
      : rank_(rank), ownHosts_(std::move(hosts)), hosts_(*ownHosts_), comm_(comm) {}
  ~NcclGroup() override {
    if (comm_) rank_.end(comm_);
  }

  int rank() const override { return hosts_.rank(); }
  int size() const override { return hosts_.size(); }
  int worldRank(int member) const override { return hosts_.worldRank(member); }
  bool canCapture() const override { return true; }
  std::unique_ptr<Communicator> split(int colour) override;
  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override;
  void throwIfFailed() override { rank_.throwIfFailed(); }
  void abort(const std::string& reason) override { rank_.abort(reason); }

 private:
  struct OwnMessage {
    void* data;
    int64_t bytes;
  };

  void begin(const CommCall& call);
  void settle(ncclResult_t status, const char* call) { rank_.settle(comm_, status, call); }
  /// Several calls as one.
  template <class Calls>
  void together(const Calls& calls);
  void copy(void* to, const void* from, int64_t bytes);
  void sendToSelf(const void* data, int64_t bytes);
  void receiveFromSelf(void* data, int64_t bytes);
  const Nccl& nccl() const { return rank_.nccl(); }
  cudaStream_t stream() const { return rank_.context().stream(); }

  std::unique_ptr<NcclRank> owned_;
  NcclRank& rank_;
  std::unique_ptr<Communicator> ownHosts_;
  Communicator& hosts_;
  ncclComm_t comm_;  // null in a group of one that is part of a larger one
  std::deque<OwnMessage> ownMessages_;
  void* mark_ = nullptr;
};

NcclGroup::NcclGroup(std::unique_ptr<NcclRank> rank, Communicator& hosts, ncclComm_t comm)
    : owned_(std::move(rank)), rank_(*owned_), hosts_(hosts), comm_(comm) {}

ncclConfig_t notBlocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

void NcclGroup::begin(const CommCall& call) {
  checkCall(call, size());
  rank_.throwIfFailed();
}

std::unique_ptr<Communicator> NcclGroup::split(int colour) {
  rank_.throwIfFailed();
  std::vector<int> colours(static_cast<size_t>(size()));
  hosts_.allGather(&colour, colours.data(), sizeof colour);
  auto hosts = hosts_.split(colour);
  ncclComm_t part = nullptr;
  if (comm_) {
    // NCCL's colours are not negative: the first member of the colour stands for it.
    const auto first = std::find(colours.begin(), colours.end(), colour) - colours.begin();
    const bool alone = hosts->size() == 1 && size() > 1;
    ncclConfig_t config = notBlocking();
    part = rank_.start("ncclCommSplit", comm_, [&](ncclComm_t* made) {
      return nccl().commSplit(comm_, alone ? NCCL_SPLIT_NOCOLOR : static_cast<int>(first), rank(),
                              made, &config);
    });
  }
  return std::make_unique<NcclGroup>(rank_, std::move(hosts), part);
}

void NcclGroup::copy(void* to, const void* from, int64_t bytes) {
  if (bytes == 0 || to == from) return;
  rank_.context().check(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream()),
      "cudaMemcpyAsync");
}

template <class Calls>
void NcclGroup::together(const Calls& calls) {
  rank_.check(comm_, nccl().groupStart(), "ncclGroupStart");
  ncclResult_t status = ncclSuccess;
  const char* failed = nullptr;
  const auto note = [&](ncclResult_t result, const char* call) {
    if (failed || result == ncclSuccess || result == ncclInProgress) return;
    status = result;
    failed = call;
  };
  calls(note);
  const ncclResult_t ended = nccl().groupEnd();
  if (failed) rank_.check(comm_, status, failed);
  settle(ended, "ncclGroupEnd");
}

void NcclGroup::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  begin({op == ReduceOp::sum ? CommOp::sumAll : CommOp::maxAll, type, -1, count});
  if (count == 0 || !comm_) return;
  settle(nccl().allReduce(data, data, static_cast<size_t>(count), typeOf(type),
                          op == ReduceOp::sum ? ncclSum : ncclMax, comm_, stream()),
         "ncclAllReduce");
}

void NcclGroup::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  begin({CommOp::reduceScatter, type, -1, count});
  if (!comm_) return copy(out, in, count * dtypeBytes(type));
  if (count == 0) return;
  settle(nccl().reduceScatter(in, out, static_cast<size_t>(count), typeOf(type), ncclSum, comm_,
                              stream()),
         "ncclReduceScatter");
}

void NcclGroup::allGather(const void* in, void* out, int64_t bytes) {
  begin({CommOp::allGather, DType::u8, -1, bytes});
  if (!comm_) return copy(out, in, bytes);
  if (bytes == 0) return;
  settle(nccl().allGather(in, out, static_cast<size_t>(bytes), ncclInt8, comm_, stream()),
         "ncclAllGather");
}

// ncclAlltoAll came with 2.28; this is what it does.
void NcclGroup::allToAll(const void* in, void* out, int64_t bytes) {
  begin({CommOp::allToAll, DType::u8, -1, bytes});
  if (bytes == 0) return;
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  copy(to + rank() * bytes, from + rank() * bytes, bytes);
  if (size() == 1) return;
  together([&](const auto& note) {
    for (int m = 0; m < size(); ++m) {
      if (m == rank()) continue;
      const auto count = static_cast<size_t>(bytes);
      note(nccl().send(from + m * bytes, count, ncclInt8, m, comm_, stream()), "ncclSend");
      note(nccl().receive(to + m * bytes, count, ncclInt8, m, comm_, stream()), "ncclRecv");
    }
  });
}

void NcclGroup::broadcast(void* data, int64_t bytes, int root) {
  begin({CommOp::broadcast, DType::u8, root, bytes});
  if (bytes == 0 || !comm_) return;
  settle(nccl().broadcast(data, data, static_cast<size_t>(bytes), ncclInt8, root, comm_, stream()),
         "ncclBroadcast");
}

void NcclGroup::send(const void* data, int64_t bytes, int to) {
  begin({CommOp::send, DType::u8, to, bytes});
  if (to == rank()) return sendToSelf(data, bytes);
  if (bytes == 0) return;
  settle(nccl().send(data, static_cast<size_t>(bytes), ncclInt8, to, comm_, stream()), "ncclSend");
}

void NcclGroup::receive(void* data, int64_t bytes, int from) {
  begin({CommOp::receive, DType::u8, from, bytes});
  if (from == rank()) return receiveFromSelf(data, bytes);
  if (bytes == 0) return;
  settle(nccl().receive(data, static_cast<size_t>(bytes), ncclInt8, from, comm_, stream()),
         "ncclRecv");
}

// NCCL has no messages to oneself that wait for their receive. The two may be on two streams, so
// the host waits for the copies; no plan has such messages.
void NcclGroup::sendToSelf(const void* data, int64_t bytes) {
  CudaContext& context = rank_.context();
  ownMessages_.push_back({context.allocate(bytes, "a message to itself"), bytes});
  copy(ownMessages_.back().data, data, bytes);
  context.synchronize();
}

void NcclGroup::receiveFromSelf(void* data, int64_t bytes) {
  if (ownMessages_.empty() || ownMessages_.front().bytes != bytes)
    throw Error(ErrorKind::runtime,
                fmt::format("rank {} receives {} bytes from itself that it has not sent",
                            worldRank(rank()), bytes));
  copy(data, ownMessages_.front().data, bytes);
  ownMessages_.pop_front();
}

void NcclGroup::barrier() {
  if (!mark_) mark_ = rank_.context().allocate(sizeof(float), "a barrier");
  allReduce(mark_, 1, DType::f32, ReduceOp::max);
}

Peer describe(const Nccl& nccl, const CudaContext& context) {
  Peer peer;
  peer.version = nccl.version;
  peer.device = context.index();
  cudaDeviceProp properties;
  context.check(cudaGetDeviceProperties(&properties, context.index()), "cudaGetDeviceProperties");
  std::memcpy(peer.uuid, properties.uuid.bytes, sizeof peer.uuid);
  gethostname(peer.host, sizeof peer.host - 1);
  return peer;
}

void compareVersions(const std::vector<Peer>& peers) {
  for (size_t r = 1; r < peers.size(); ++r)
    if (peers[r].version != peers[0].version)
      throw Error(ErrorKind::usage,
                  fmt::format("rank 0 has NCCL {} and rank {} has NCCL {} (on {} and {})",
                              libraryVersionText(peers[0].version), r,
                              libraryVersionText(peers[r].version), peers[0].host, peers[r].host),
                  "use one version on all hosts");
}

void refuseSharedGpus(const std::vector<Peer>& peers) {
  for (size_t r = 0; r < peers.size(); ++r)
    for (size_t other = 0; other < r; ++other)
      if (std::memcmp(peers[r].uuid, peers[other].uuid, sizeof peers[r].uuid) == 0)
        throw Error(ErrorKind::usage,
                    fmt::format("ranks {} and {} use the same GPU ({} of {}), which NCCL {} does "
                                "not allow",
                                other, r, peers[r].device, peers[r].host,
                                libraryVersionText(peers[r].version)),
                    "start as many ranks on a host as it has GPUs, run them as threads of one "
                    "process, or use NCCL 2.30.3 with NCCL_MULTI_RANK_GPU_ENABLE=1");
}

}  // namespace

std::unique_ptr<Communicator> connectNccl(const Nccl& nccl, CudaContext& context,
                                          Communicator& hosts,
                                          std::chrono::milliseconds abortWithin) {
  const Peer mine = describe(nccl, context);
  std::vector<Peer> peers(static_cast<size_t>(hosts.size()));
  hosts.allGather(&mine, peers.data(), sizeof mine);
  compareVersions(peers);
  if (!nccl.sharesGpus()) refuseSharedGpus(peers);
  auto rank = std::make_unique<NcclRank>(nccl, context, hosts, abortWithin);
  ncclUniqueId id = {};
  if (hosts.rank() == 0) rank->check(nullptr, nccl.getUniqueId(&id), "ncclGetUniqueId");
  hosts.broadcast(&id, sizeof id, 0);
  ncclConfig_t config = notBlocking();
  const ncclComm_t comm = rank->start("ncclCommInitRankConfig", nullptr, [&](ncclComm_t* made) {
    return nccl.commInitRankConfig(made, hosts.size(), id, hosts.rank(), &config);
  });
  return std::make_unique<NcclGroup>(std::move(rank), hosts, comm);
}

}  // namespace meshplan
