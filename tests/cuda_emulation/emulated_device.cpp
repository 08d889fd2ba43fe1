// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/emulated_device.h"

#include <chrono>
#include <thread>

namespace meshplan::emulation {

Device& device() {
  static auto* const kept = new Device;
  return *kept;
}

cudaError_t entering() {
  Device& d = device();
  ++d.calls;
  if (d.sticky != cudaSuccess) return d.sticky;
  if (d.failAt == 0 || d.calls != d.failAt) return cudaSuccess;
  if (!d.once) d.sticky = d.failure;
  return d.failure;
}

namespace {

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

void capture(cudaStream_t stream, Work work) {
  CUgraph_st& graph = *stream->capture->graph;
  graph.nodes.push_back({std::move(work), stream->last});
  stream->last = {graph.nodes.size() - 1};
}

}  // namespace

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

cudaError_t runUntil(cudaStream_t asked, const std::function<bool()>& enough) {
  while (!enough()) {
    if (runAny(asked)) continue;
    if (!waitsForHost()) return cudaErrorUnknown;  // a cycle of events
    device().mutex.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    device().mutex.lock();
  }
  return cudaSuccess;
}

cudaError_t add(cudaStream_t stream, Work work) {
  if (!stream) return cudaErrorInvalidValue;  // the backend never uses the default stream
  if (stream->capture)
    capture(stream, std::move(work));
  else
    stream->queue.push_back({std::move(work), nullptr, nullptr, nullptr});
  return cudaSuccess;
}

}  // namespace meshplan::emulation
