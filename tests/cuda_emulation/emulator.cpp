// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/emulator.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "tests/cuda_emulation/block.h"

using meshplan::emulation::runKernel;

namespace {

using Work = std::function<void()>;

struct Node {
  Work work;
  std::vector<size_t> after;  // earlier nodes
};

}  // namespace

struct CUgraph_st {
  std::vector<Node> nodes;
};
struct CUgraphExec_st {
  CUgraph_st graph;
};

namespace {

/// A mark in a stream that an event was recorded at; `done` once all before it has run.
struct Mark {
  bool done = false;
  int64_t when = 0;
};

struct Capture {
  std::unique_ptr<CUgraph_st> graph = std::make_unique<CUgraph_st>();
  cudaStream_t origin = nullptr;
  std::set<cudaStream_t> joined;
};

struct Operation {
  Work work;
  std::function<bool()> ready;  // empty, or when it may run
  std::shared_ptr<Mark> waits;  // runs only when this is done
  std::shared_ptr<Mark> marks;
};

}  // namespace

struct CUstream_st {
  std::deque<Operation> queue;
  Capture* capture = nullptr;
  std::vector<size_t> last;  // nodes that the next captured one comes after
};

struct CUevent_st {
  std::shared_ptr<Mark> mark;
  Capture* capture = nullptr;
  std::vector<size_t> nodes;
};

namespace {

struct Allocation {
  size_t bytes = 0;
};

/// All state of the emulated device.
struct Device {
  std::recursive_mutex mutex;
  std::set<cudaStream_t> streams;
  std::map<const void*, Allocation> memory, pinned;
  std::vector<std::unique_ptr<Capture>> captures;
  size_t used = 0, total = size_t{4} << 30;
  std::mt19937_64 random;
  bool shuffled = false;
  int64_t calls = 0, failAt = 0, operations = 0;
  bool once = false;
  cudaError_t failure = cudaSuccess, sticky = cudaSuccess;
};

Device& device() {
  static auto* const kept = new Device;
  return *kept;
}

using Lock = std::lock_guard<std::recursive_mutex>;

/// What a call returns before it does anything.
cudaError_t entering() {
  Device& d = device();
  ++d.calls;
  if (d.sticky != cudaSuccess) return d.sticky;
  if (d.failAt == 0 || d.calls != d.failAt) return cudaSuccess;
  if (!d.once) d.sticky = d.failure;
  return d.failure;
}

#define MESHPLAN_ENTER()           \
  const Lock lock(device().mutex); \
  if (const cudaError_t e = entering(); e != cudaSuccess) return e

bool runnable(const CUstream_st& stream) {
  if (stream.queue.empty()) return false;
  const Operation& next = stream.queue.front();
  return (!next.waits || next.waits->done) && (!next.ready || next.ready());
}

void runOne(CUstream_st& stream) {
  const Operation next = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (next.work) next.work();
  if (next.marks) {
    next.marks->done = true;
    next.marks->when = device().operations;
  }
  ++device().operations;
}

/// Whether something waits for what other threads of the host will do.
bool waitsForHost() {
  for (cudaStream_t s : device().streams)
    if (!s->queue.empty() && s->queue.front().ready) return true;
  return false;
}

/// Runs one operation of one stream; false when none can run.
bool runAny(cudaStream_t asked) {
  Device& d = device();
  std::vector<cudaStream_t> ready;
  for (cudaStream_t s : d.streams)
    if (runnable(*s)) ready.push_back(s);
  if (ready.empty()) return false;
  cudaStream_t chosen = ready[0];
  if (d.shuffled)
    chosen = ready[d.random() % ready.size()];
  else if (asked && runnable(*asked))
    chosen = asked;
  runOne(*chosen);
  return true;
}

/// Runs streams, one operation of one of them after another, until `enough`.
template <class F>
cudaError_t runUntil(cudaStream_t asked, const F& enough) {
  while (!enough()) {
    if (runAny(asked)) continue;
    if (!waitsForHost()) return cudaErrorUnknown;  // a cycle of events
    device().mutex.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    device().mutex.lock();
  }
  return cudaSuccess;
}

void capture(cudaStream_t stream, Work work) {
  CUgraph_st& graph = *stream->capture->graph;
  graph.nodes.push_back({std::move(work), stream->last});
  stream->last = {graph.nodes.size() - 1};
}

cudaError_t add(cudaStream_t stream, Work work) {
  if (!stream) return cudaErrorInvalidValue;  // the backend never uses the default stream
  if (stream->capture)
    capture(stream, std::move(work));
  else
    stream->queue.push_back({std::move(work), nullptr, nullptr, nullptr});
  return cudaSuccess;
}

bool isPinned(const void* at) {
  const auto& pinned = device().pinned;
  auto after = pinned.upper_bound(at);
  if (after == pinned.begin()) return false;
  --after;
  return static_cast<const char*>(at) <
         static_cast<const char*>(after->first) + after->second.bytes;
}

void runGraph(const CUgraph_st& graph) {
  std::vector<bool> done(graph.nodes.size());
  std::vector<size_t> open(graph.nodes.size());
  for (size_t i = 0; i < open.size(); ++i) open[i] = i;
  while (!open.empty()) {
    std::vector<size_t> ready;
    for (size_t i : open)
      if (std::all_of(graph.nodes[i].after.begin(), graph.nodes[i].after.end(),
                      [&](size_t before) { return done[before]; }))
        ready.push_back(i);
    const size_t chosen = device().shuffled ? ready[device().random() % ready.size()] : ready[0];
    if (graph.nodes[chosen].work) graph.nodes[chosen].work();
    done[chosen] = true;
    open.erase(std::find(open.begin(), open.end(), chosen));
  }
}

void copyRows(char* to, size_t toPitch, const char* from, size_t fromPitch, size_t width,
              size_t height) {
  for (size_t r = 0; r < height; ++r) std::memcpy(to + r * toPitch, from + r * fromPitch, width);
}

cudaError_t allocate(void** at, size_t bytes, std::map<const void*, Allocation>& kept) {
  const size_t whole = (bytes + 511) / 512 * 512 + 512;
  *at = std::aligned_alloc(512, whole);
  if (!*at) return cudaErrorMemoryAllocation;
  std::memset(*at, 0xff, whole);
  kept[*at] = {bytes};
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  MESHPLAN_ENTER();
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  MESHPLAN_ENTER();
  if (index != 0) return cudaErrorInvalidDevice;
  *properties = {};
  std::strcpy(properties->name, "Emulated GPU");
  properties->totalGlobalMem = device().total;
  properties->sharedMemPerBlockOptin = 227 << 10;
  properties->major = 9;
  properties->multiProcessorCount = 4;
  properties->l2CacheSize = 1 << 20;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  MESHPLAN_ENTER();
  return index == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaDriverGetVersion(int* version) {
  MESHPLAN_ENTER();
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  MESHPLAN_ENTER();
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  MESHPLAN_ENTER();
  *free = device().total - device().used;
  *total = device().total;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  MESHPLAN_ENTER();
  return runUntil(nullptr, [] {
    return std::all_of(device().streams.begin(), device().streams.end(),
                       [](cudaStream_t s) { return s->queue.empty(); });
  });
}
cudaError_t cudaGetLastError() {
  const Lock lock(device().mutex);
  return device().sticky;
}
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    default:
      return "cudaErrorEmulated";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "as the emulator was told";
}

cudaError_t cudaMalloc(void** at, size_t bytes) {
  MESHPLAN_ENTER();
  if (device().used + bytes > device().total) return cudaErrorMemoryAllocation;
  device().used += bytes;
  return allocate(at, bytes, device().memory);
}

// Errors that stick do not keep memory from being given back: tests look for leaks.
cudaError_t cudaFree(void* at) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  const auto found = device().memory.find(at);
  if (!at) return status;
  if (found == device().memory.end()) return cudaErrorInvalidValue;
  device().used -= found->second.bytes;
  device().memory.erase(found);
  std::free(at);
  return status;
}

cudaError_t cudaMallocHost(void** at, size_t bytes) {
  MESHPLAN_ENTER();
  return allocate(at, bytes, device().pinned);
}

cudaError_t cudaFreeHost(void* at) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  if (!at) return status;
  if (device().pinned.erase(at) == 0) return cudaErrorInvalidValue;
  std::free(at);
  return status;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, const void* from, size_t fromPitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  MESHPLAN_ENTER();
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
  if (kind == cudaMemcpyHostToDevice && !isPinned(from)) {
    // Memory that is not pinned may be changed as soon as the call has returned.
    if (stream && stream->capture) return cudaErrorStreamCaptureUnsupported;
    auto kept = std::make_shared<std::vector<char>>(width * height);
    copyRows(kept->data(), width, source, fromPitch, width, height);
    return add(stream, [=] { copyRows(target, toPitch, kept->data(), width, width, height); });
  }
  const cudaError_t status =
      add(stream, [=] { copyRows(target, toPitch, source, fromPitch, width, height); });
  if (status != cudaSuccess || kind != cudaMemcpyDeviceToHost || isPinned(to)) return status;
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  return runUntil(stream, [&] { return stream->queue.empty(); });
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  MESHPLAN_ENTER();
  return add(stream, [=] { std::memset(at, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  MESHPLAN_ENTER();
  *stream = new CUstream_st;
  device().streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  if (!stream) return status;
  if (status == cudaSuccess) runUntil(stream, [&] { return stream->queue.empty(); });
  device().streams.erase(stream);
  delete stream;
  return status;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  MESHPLAN_ENTER();
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  return runUntil(stream, [&] { return stream->queue.empty(); });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  MESHPLAN_ENTER();
  if (stream->queue.empty()) return cudaSuccess;
  runAny(stream);
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  MESHPLAN_ENTER();
  if (event->capture) {
    if (!stream->capture) {
      stream->capture = event->capture;
      stream->last.clear();
      event->capture->joined.insert(stream);
    }
    stream->last.insert(stream->last.end(), event->nodes.begin(), event->nodes.end());
    return cudaSuccess;
  }
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  if (event->mark && !event->mark->done)
    stream->queue.push_back({nullptr, nullptr, event->mark, nullptr});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  MESHPLAN_ENTER();
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  delete event;
  return status;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  MESHPLAN_ENTER();
  if (!stream) return cudaErrorInvalidValue;
  event->capture = stream->capture;
  if (stream->capture) {
    event->nodes = stream->last;
    return cudaSuccess;
  }
  event->mark = std::make_shared<Mark>();
  stream->queue.push_back({nullptr, nullptr, nullptr, event->mark});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  MESHPLAN_ENTER();
  if (!event->mark) return cudaSuccess;
  return runUntil(nullptr, [&] { return event->mark->done; });
}

// One operation takes a millisecond.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  MESHPLAN_ENTER();
  if (!start->mark || !end->mark) return cudaErrorInvalidValue;
  if (!start->mark->done || !end->mark->done) return cudaErrorNotReady;
  *milliseconds = static_cast<float>(end->mark->when - start->mark->when);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  MESHPLAN_ENTER();
  device().captures.push_back(std::make_unique<Capture>());
  stream->capture = device().captures.back().get();
  stream->capture->origin = stream;
  stream->capture->joined = {stream};
  stream->last.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  MESHPLAN_ENTER();
  Capture* capture = stream->capture;
  if (!capture || capture->origin != stream) return cudaErrorInvalidValue;
  bool joined = true;
  for (cudaStream_t s : capture->joined) {
    // What the others did last must lie before something that the origin waits for.
    std::set<size_t> before(stream->last.begin(), stream->last.end());
    for (auto i = capture->graph->nodes.size(); i-- > 0;)
      if (before.count(i) > 0)
        before.insert(capture->graph->nodes[i].after.begin(), capture->graph->nodes[i].after.end());
    for (size_t node : s->last) joined = joined && before.count(node) > 0;
    s->capture = nullptr;
  }
  *graph = capture->graph.release();
  return joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  MESHPLAN_ENTER();
  *exec = new CUgraphExec_st{*graph};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  MESHPLAN_ENTER();
  return add(stream, [exec] { runGraph(exec->graph); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  delete graph;
  return status;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  delete exec;
  return status;
}

namespace meshplan::emulation {

cudaError_t enqueueKernel(const cudaLaunchConfig_t& config, std::function<void()> body) {
  const auto fits = [](const dim3& d) { return d.x > 0 && d.y > 0 && d.z > 0; };
  const size_t threads = size_t(config.blockDim.x) * config.blockDim.y * config.blockDim.z;
  if (!fits(config.gridDim) || !fits(config.blockDim) || threads > 1024 ||
      config.gridDim.y > 65535 || config.gridDim.z > 65535)
    return cudaErrorInvalidConfiguration;
  return enqueue(config.stream, [config, body = std::move(body)] { runKernel(config, body); });
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> body) {
  MESHPLAN_ENTER();
  return add(stream, std::move(body));
}

cudaError_t enqueueWhen(cudaStream_t stream, std::function<bool()> ready,
                        std::function<void()> body) {
  MESHPLAN_ENTER();
  if (!stream || stream->capture) return cudaErrorStreamCaptureUnsupported;
  stream->queue.push_back({std::move(body), std::move(ready), nullptr, nullptr});
  return cudaSuccess;
}

void setSchedule(uint64_t seed) {
  const Lock lock(device().mutex);
  device().shuffled = seed != 0;
  device().random.seed(seed);
}

void failCall(int64_t k, cudaError_t error, bool once) {
  const Lock lock(device().mutex);
  device().calls = 0;
  device().failAt = k;
  device().failure = error;
  device().once = once;
  device().sticky = cudaSuccess;
}

int64_t calls() {
  const Lock lock(device().mutex);
  return device().calls;
}
int64_t allocations() {
  const Lock lock(device().mutex);
  return static_cast<int64_t>(device().memory.size() + device().pinned.size());
}
int64_t operations() {
  const Lock lock(device().mutex);
  return device().operations;
}
void setDeviceMemory(size_t bytes) {
  const Lock lock(device().mutex);
  device().total = bytes;
}

}  // namespace meshplan::emulation
