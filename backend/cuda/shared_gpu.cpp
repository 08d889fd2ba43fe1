// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/shared_gpu.h"

#include <deque>
#include <exception>
#include <mutex>
#include <vector>

#include "backend/comm/ordered_reduction.h"
#include "backend/comm/thread_communicator.h"
#include "backend/cuda/rank_reduction.h"

namespace meshplan {
namespace {

class Event {
 public:
  explicit Event(const CudaContext& context) {
    context.check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(const CudaContext& context) const {
    context.check(cudaEventRecord(event_, context.stream()), "cudaEventRecord");
  }
  void await(const CudaContext& context) const {
    context.check(cudaStreamWaitEvent(context.stream(), event_, 0), "cudaStreamWaitEvent");
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// What others wait for in one rank's stream: `ready`, its memory may be read; `done`, it has read
/// theirs.
struct Marks {
  explicit Marks(const CudaContext& context) : ready(context), done(context) {}
  Event ready, done;
};

/// A copy of what was sent: `ready` to be received, and `done` with.
struct DeviceMessage : ThreadMessage {
  explicit DeviceMessage(Marks& own) : marks(own) {}

  Marks& marks;
  void* data = nullptr;
  int64_t capacity = 0;
};

}  // namespace

/// Marks and memory outlive the ranks that made them: others may still wait for them.
struct SharedGpuWorld::State {
  explicit State(InProcessWorld& ofHosts) : hosts(ofHosts.threads()), all(hosts.all().ranks) {}
  ~State() {
    if (device >= 0) cudaSetDevice(device);
    for (void* m : memory) cudaFree(m);
    marks.clear();
  }

  Marks& addMarks(const CudaContext& context) {
    const std::lock_guard lock(mutex);
    device = context.index();
    return marks.emplace_back(context);
  }
  void* addMemory(const CudaContext& context, int64_t bytes) {
    void* at = nullptr;
    context.check(cudaMalloc(&at, static_cast<size_t>(bytes)), "cudaMalloc");
    const std::lock_guard lock(mutex);
    return memory.emplace_back(at);
  }

  ThreadWorld& hosts;
  ThreadGroup all;
  std::mutex mutex;  // guards all below
  std::deque<Marks> marks;
  std::deque<void*> memory;
  int device = -1;
};

namespace {

class SharedGpu final : public ThreadCommunicator {
 public:
  SharedGpu(SharedGpuWorld::State& world, ThreadGroup& group, int member, CudaContext& context)
      : ThreadCommunicator(world.hosts, group, member),
        world_(world),
        context_(context),
        marks_(world.addMarks(context)) {}

  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override {
    collective({.op = CommOp::barrier}, nullptr, nullptr, [] {});
  }

 private:
  std::unique_ptr<Communicator> open(ThreadGroup& group, int member) override {
    return std::make_unique<SharedGpu>(world_, group, member, context_);
  }
  template <class Work>
  void collective(const CommCall& call, const void* in, void* out, const Work& work);
  template <class Work>
  void enqueue(const Work& work);
  void copy(void* to, const void* from, int64_t bytes);
  const Marks& marksOf(int member) const { return *static_cast<const Marks*>(slot(member).own); }

  SharedGpuWorld::State& world_;
  CudaContext& context_;
  Marks& marks_;
};

template <class Work>
void SharedGpu::enqueue(const Work& work) {
  for (int m = 0; m < size(); ++m)
    if (m != rank()) marksOf(m).ready.await(context_);
  work();
  marks_.done.record(context_);
}

// The others take part in a call that one has entered, so its errors wait until all have left.
template <class Work>
void SharedGpu::collective(const CommCall& call, const void* in, void* out, const Work& work) {
  marks_.ready.record(context_);
  std::exception_ptr failed;
  std::vector<const Marks*> others(static_cast<size_t>(size()));
  const auto guarded = [&] {
    for (int m = 0; m < size(); ++m) others[static_cast<size_t>(m)] = &marksOf(m);
    try {
      enqueue(work);
    } catch (...) {
      failed = std::current_exception();
    }
  };
  meetFor(call, in, out, guarded, &marks_);
  if (failed) std::rethrow_exception(failed);
  for (const Marks* other : others)
    if (other != &marks_) other->done.await(context_);
}

void SharedGpu::copy(void* to, const void* from, int64_t bytes) {
  if (bytes == 0 || to == from) return;
  context_.check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                 context_.stream()),
                 "cudaMemcpyAsync");
}

void SharedGpu::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  const CommCall call{op == ReduceOp::sum ? CommOp::sumAll : CommOp::maxAll, type, -1, count};
  collective(call, data, data, [&] {
    const Share share = shareOf(count, rank(), size());
    std::vector<const void*> parts;
    std::vector<void*> outputs;
    for (int m = 0; m < size(); ++m) {
      outputs.push_back(static_cast<std::byte*>(slot(m).out) + share.begin * dtypeBytes(type));
      parts.push_back(outputs.back());
    }
    reduceInRankOrder(context_, parts, outputs, share.count, type, op);
  });
}

void SharedGpu::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  collective({CommOp::reduceScatter, type, -1, count}, in, out, [&] {
    std::vector<const void*> parts;
    for (int m = 0; m < size(); ++m)
      parts.push_back(static_cast<const std::byte*>(slot(m).in) +
                      rank() * count * dtypeBytes(type));
    reduceInRankOrder(context_, parts, std::span(&out, 1), count, type, ReduceOp::sum);
  });
}

void SharedGpu::allGather(const void* in, void* out, int64_t bytes) {
  collective({CommOp::allGather, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size(); ++m)
      copy(static_cast<std::byte*>(out) + m * bytes, slot(m).in, bytes);
  });
}

void SharedGpu::allToAll(const void* in, void* out, int64_t bytes) {
  collective({CommOp::allToAll, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size(); ++m)
      copy(static_cast<std::byte*>(out) + m * bytes,
           static_cast<const std::byte*>(slot(m).in) + rank() * bytes, bytes);
  });
}

void SharedGpu::broadcast(void* data, int64_t bytes, int root) {
  collective({CommOp::broadcast, DType::u8, root, bytes}, data, data,
             [&] { copy(data, slot(root).in, bytes); });
}

// Memory that became too small stays: work that was issued may read it.
void SharedGpu::send(const void* data, int64_t bytes, int to) {
  std::unique_ptr<ThreadMessage> spare = spareFor(bytes, to);
  if (!spare) spare = std::make_unique<DeviceMessage>(world_.addMarks(context_));
  auto& message = static_cast<DeviceMessage&>(*spare);
  if (message.capacity < bytes) {
    message.data = world_.addMemory(context_, bytes);
    message.capacity = bytes;
  }
  message.bytes = bytes;
  message.marks.done.await(context_);
  copy(message.data, data, bytes);
  message.marks.ready.record(context_);
  post(to, std::move(spare));
}

void SharedGpu::receive(void* data, int64_t bytes, int from) {
  std::unique_ptr<ThreadMessage> taken = take(from, bytes);
  const auto& message = static_cast<DeviceMessage&>(*taken);
  message.marks.ready.await(context_);
  copy(data, message.data, bytes);
  message.marks.done.record(context_);
  giveBack(from, std::move(taken));
}

}  // namespace

SharedGpuWorld::SharedGpuWorld(InProcessWorld& hosts) : state_(std::make_unique<State>(hosts)) {}

SharedGpuWorld::~SharedGpuWorld() = default;

std::unique_ptr<Communicator> SharedGpuWorld::connect(CudaContext& context) {
  return std::make_unique<SharedGpu>(*state_, state_->all, context.rank(), context);
}

}  // namespace meshplan
