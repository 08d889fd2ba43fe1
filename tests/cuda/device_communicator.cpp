// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda/device_communicator.h"

#include <algorithm>

#include "backend/comm/thread_communicator.h"
#include "backend/cuda/cuda_transfers.h"

namespace meshplan {
namespace {

enum Purpose { kIn = 100, kOut, kResult };

bool within(const void* place, const void* begin, int64_t bytes) {
  const auto* p = static_cast<const std::byte*>(place);
  const auto* b = static_cast<const std::byte*>(begin);
  return p >= b && p < b + bytes;
}

int64_t distance(const void* from, const void* to) {
  return static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from);
}

/// A rank's context and its communicator, which goes first.
class GpuRank final : public Communicator {
 public:
  GpuRank(int rank, const ConnectGpu& connect) : context(0, rank), inner(connect(context)) {}

  int rank() const override { return inner->rank(); }
  int size() const override { return inner->size(); }
  int worldRank(int member) const override { return inner->worldRank(member); }
  std::unique_ptr<Communicator> split(int colour) override { return inner->split(colour); }
  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override {
    inner->allReduce(data, count, type, op);
  }
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override {
    inner->reduceScatter(in, out, count, type);
  }
  void allGather(const void* in, void* out, int64_t bytes) override {
    inner->allGather(in, out, bytes);
  }
  void allToAll(const void* in, void* out, int64_t bytes) override {
    inner->allToAll(in, out, bytes);
  }
  void broadcast(void* data, int64_t bytes, int root) override {
    inner->broadcast(data, bytes, root);
  }
  void send(const void* data, int64_t bytes, int to) override { inner->send(data, bytes, to); }
  void receive(void* data, int64_t bytes, int from) override { inner->receive(data, bytes, from); }
  void barrier() override { inner->barrier(); }
  void abort(const std::string& reason) override { inner->abort(reason); }

  CudaContext context;
  std::unique_ptr<Communicator> inner;
};

}  // namespace

void DeviceCommunicator::useAnyStream() {
  context_.use(static_cast<Stream>(random_() % kStreams));
}

std::byte* DeviceCommunicator::place(int64_t bytes, int purpose) {
  return static_cast<std::byte*>(context_.scratch(std::max<int64_t>(bytes, 1), purpose));
}

void DeviceCommunicator::poison(std::byte* at, int64_t bytes) {
  if (bytes > 0)
    context_.check(cudaMemsetAsync(at, 0xa5, static_cast<size_t>(bytes), context_.stream()),
                   "cudaMemsetAsync");
}

std::byte* DeviceCommunicator::uploaded(const void* data, int64_t bytes, int purpose) {
  std::byte* at = place(bytes, purpose);
  poison(at, bytes);
  uploadBytes(context_, at, data, bytes);
  return at;
}

void DeviceCommunicator::fetch(void* to, std::byte* from, int64_t bytes) {
  if (bytes == 0) return;
  std::byte* aside = place(bytes, kResult);
  context_.check(cudaMemcpyAsync(aside, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                 context_.stream()),
                 "cudaMemcpyAsync");
  poison(from, bytes);
  downloadBytes(context_, to, aside, bytes);
}

std::unique_ptr<Communicator> DeviceCommunicator::split(int colour) {
  return std::make_unique<DeviceCommunicator>(inner_->split(colour), context_);
}

void DeviceCommunicator::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  useAnyStream();
  const int64_t bytes = count * dtypeBytes(type);
  std::byte* at = uploaded(data, bytes, kIn);
  inner_->allReduce(at, count, type, op);
  fetch(data, at, bytes);
}

void DeviceCommunicator::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  useAnyStream();
  const int64_t part = count * dtypeBytes(type), whole = part * size();
  std::byte* from = uploaded(in, whole, kIn);
  std::byte* to = within(out, in, whole) ? from + distance(in, out) : place(part, kOut);
  inner_->reduceScatter(from, to, count, type);
  fetch(out, to, part);
  poison(from, whole);
}

void DeviceCommunicator::allGather(const void* in, void* out, int64_t bytes) {
  useAnyStream();
  const int64_t whole = bytes * size();
  std::byte* to = uploaded(out, whole, kOut);
  std::byte* from = within(in, out, whole) ? to + distance(out, in) : uploaded(in, bytes, kIn);
  inner_->allGather(from, to, bytes);
  fetch(out, to, whole);
  poison(from, bytes);
}

void DeviceCommunicator::allToAll(const void* in, void* out, int64_t bytes) {
  useAnyStream();
  const int64_t whole = bytes * size();
  std::byte *from = uploaded(in, whole, kIn), *to = place(whole, kOut);
  inner_->allToAll(from, to, bytes);
  fetch(out, to, whole);
  poison(from, whole);
}

void DeviceCommunicator::broadcast(void* data, int64_t bytes, int root) {
  useAnyStream();
  std::byte* at = uploaded(data, bytes, kIn);
  inner_->broadcast(at, bytes, root);
  fetch(data, at, bytes);
}

void DeviceCommunicator::send(const void* data, int64_t bytes, int to) {
  useAnyStream();
  std::byte* at = uploaded(data, bytes, kIn);
  inner_->send(at, bytes, to);
  poison(at, bytes);
}

void DeviceCommunicator::receive(void* data, int64_t bytes, int from) {
  useAnyStream();
  std::byte* at = place(bytes, kIn);
  poison(at, bytes);
  inner_->receive(at, bytes, from);
  fetch(data, at, bytes);
}

void runOnGpu(int ranks, const ConnectGpu& connect,
              const std::function<void(Communicator&, CudaContext&)>& body) {
  runThreads(
      ranks, [&](int rank) { return std::make_unique<GpuRank>(rank, connect); },
      [&](Communicator& rank) {
        auto& own = static_cast<GpuRank&>(rank);
        body(*own.inner, own.context);
      });
}

void runThroughGpu(int ranks, const ConnectGpu& connect,
                   const std::function<void(Communicator&)>& body) {
  runThreads(
      ranks,
      [&](int rank) {
        return std::make_unique<GpuRank>(rank, [&](CudaContext& context) {
          return std::make_unique<DeviceCommunicator>(connect(context), context);
        });
      },
      [&](Communicator& rank) { body(*static_cast<GpuRank&>(rank).inner); });
}

}  // namespace meshplan
