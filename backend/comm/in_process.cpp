// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/in_process.h"

#include <cstring>
#include <vector>

#include "backend/comm/ordered_reduction.h"
#include "backend/comm/thread_communicator.h"

namespace meshplan {
namespace {

struct HostMessage : ThreadMessage {
  std::unique_ptr<std::byte[]> data;
  int64_t capacity = 0;
};

class InProcess final : public ThreadCommunicator {
 public:
  InProcess(ThreadWorld& world, ThreadGroup& group, int member)
      : ThreadCommunicator(world, group, member), world_(world) {}

  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override {
    meetFor({.op = CommOp::barrier}, nullptr, nullptr, [] {});
  }

 private:
  std::unique_ptr<Communicator> open(ThreadGroup& group, int member) override {
    return std::make_unique<InProcess>(world_, group, member);
  }

  ThreadWorld& world_;
};

void InProcess::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  const CommCall call{op == ReduceOp::sum ? CommOp::sumAll : CommOp::maxAll, type, -1, count};
  const int64_t element = dtypeBytes(type);
  meetFor(call, data, data, [&] {
    const Share share = shareOf(count, rank(), size());
    std::vector<const void*> parts(static_cast<size_t>(size()));
    std::vector<void*> outputs(parts.size());
    for (int m = 0; m < size(); ++m) {
      outputs[size_t(m)] = static_cast<std::byte*>(slot(m).out) + share.begin * element;
      parts[size_t(m)] = outputs[size_t(m)];
    }
    reduceInOrder(parts, outputs, share.count, type, op);
  });
}

void InProcess::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  meetFor({CommOp::reduceScatter, type, -1, count}, in, out, [&] {
    std::vector<const void*> parts;
    for (int m = 0; m < size(); ++m)
      parts.push_back(static_cast<const std::byte*>(slot(m).in) +
                      rank() * count * dtypeBytes(type));
    reduceInOrder(parts, std::span(&out, 1), count, type, ReduceOp::sum);
  });
}

void InProcess::allGather(const void* in, void* out, int64_t bytes) {
  meetFor({CommOp::allGather, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size(); ++m) {
      std::byte* part = static_cast<std::byte*>(out) + m * bytes;
      if (bytes > 0 && part != slot(m).in) std::memcpy(part, slot(m).in, size_t(bytes));
    }
  });
}

void InProcess::allToAll(const void* in, void* out, int64_t bytes) {
  meetFor({CommOp::allToAll, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size() && bytes > 0; ++m)
      std::memcpy(static_cast<std::byte*>(out) + m * bytes,
                  static_cast<const std::byte*>(slot(m).in) + rank() * bytes, size_t(bytes));
  });
}

void InProcess::broadcast(void* data, int64_t bytes, int root) {
  meetFor({CommOp::broadcast, DType::u8, root, bytes}, data, data, [&] {
    if (rank() != root && bytes > 0) std::memcpy(data, slot(root).in, size_t(bytes));
  });
}

void InProcess::send(const void* data, int64_t bytes, int to) {
  std::unique_ptr<ThreadMessage> spare = spareFor(bytes, to);
  if (!spare) spare = std::make_unique<HostMessage>();
  auto& message = static_cast<HostMessage&>(*spare);
  if (message.capacity < bytes) {
    message.data = std::make_unique_for_overwrite<std::byte[]>(size_t(bytes));
    message.capacity = bytes;
  }
  message.bytes = bytes;
  if (bytes > 0) std::memcpy(message.data.get(), data, size_t(bytes));
  post(to, std::move(spare));
}

void InProcess::receive(void* data, int64_t bytes, int from) {
  std::unique_ptr<ThreadMessage> message = take(from, bytes);
  if (bytes > 0) std::memcpy(data, static_cast<HostMessage&>(*message).data.get(), size_t(bytes));
  giveBack(from, std::move(message));
}

}  // namespace

InProcessWorld::InProcessWorld(int ranks) : threads_(std::make_unique<ThreadWorld>(ranks)) {}

InProcessWorld::~InProcessWorld() = default;

int InProcessWorld::size() const {
  return threads_->all().size();
}

std::unique_ptr<Communicator> InProcessWorld::connect(int rank) {
  return std::make_unique<InProcess>(*threads_, threads_->all(), rank);
}

void runInProcess(int ranks, const std::function<void(Communicator&)>& body) {
  InProcessWorld world(ranks);
  runInProcess(world, body);
}

void runInProcess(InProcessWorld& world, const std::function<void(Communicator&)>& body) {
  runThreads(
      world.size(), [&](int rank) { return world.connect(rank); }, body);
}

}  // namespace meshplan
