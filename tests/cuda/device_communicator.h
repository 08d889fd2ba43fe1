// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <random>

#include "backend/communicator.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// A communicator of GPU ranks as one of memory of the host, so that the checks of all
/// communicators run on it: data is copied to the device, exchanged there on a stream drawn at
/// random, and copied back. What the device held is overwritten in stream order as soon as the
/// interface allows it, while others may still be reading where waits are missing.
class DeviceCommunicator final : public Communicator {
 public:
  DeviceCommunicator(std::unique_ptr<Communicator> inner, CudaContext& context)
      : inner_(std::move(inner)), context_(context) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  int worldRank(int member) const override { return inner_->worldRank(member); }
  std::unique_ptr<Communicator> split(int colour) override;
  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override { inner_->barrier(); }
  void abort(const std::string& reason) override { inner_->abort(reason); }

 private:
  std::byte* place(int64_t bytes, int purpose);
  std::byte* uploaded(const void* data, int64_t bytes, int purpose);
  void poison(std::byte* at, int64_t bytes);
  /// Copies the result aside, overwrites it, and brings the copy to the host.
  void fetch(void* to, std::byte* from, int64_t bytes);
  void useAnyStream();

  std::unique_ptr<Communicator> inner_;
  CudaContext& context_;
  std::mt19937 random_{7};
};

/// Runs `body` for every rank on one GPU, each on a thread with a context of its own, with a
/// communicator of the kind that `connect` makes. Errors are those of runThreads
/// (backend/comm/thread_communicator.h).
using ConnectGpu = std::function<std::unique_ptr<Communicator>(CudaContext&)>;
void runOnGpu(int ranks, const ConnectGpu& connect,
              const std::function<void(Communicator&, CudaContext&)>& body);
/// With data in memory of the host.
void runThroughGpu(int ranks, const ConnectGpu& connect,
                   const std::function<void(Communicator&)>& body);

}  // namespace meshplan
