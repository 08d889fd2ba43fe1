// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/emulated_device.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <numeric>
#include <sstream>
#include <thread>

namespace meshplan::emulation {

// As CUDA reads them, with the machine's GPUs besides: "4 NAME BYTES MULTIPROCESSORS" in
// MESHPLAN_EMULATED_GPUS.
Device::Device() {
  if (const char* gpus = std::getenv("MESHPLAN_EMULATED_GPUS")) {
    size_t count = 0;
    std::istringstream(gpus) >> count >> name >> total >> multiprocessors;
    visible.resize(count);
    std::iota(visible.begin(), visible.end(), 0);
  }
  if (const char* chosen = std::getenv("CUDA_VISIBLE_DEVICES")) {
    const int machine = static_cast<int>(visible.size());
    visible.clear();
    std::istringstream numbers(chosen);
    for (std::string number; std::getline(numbers, number, ',');)
      if (std::atoi(number.c_str()) < machine) visible.push_back(std::atoi(number.c_str()));
  }
  used.resize(visible.size());
}

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
  if (next.graph) return next.graph->open.empty() || !next.graph->runnable().empty();
  return (!next.waits || next.waits->done) && (!next.ready || next.ready());
}

void runNode(GraphRun& run) {
  const std::vector<size_t> ready = run.runnable();
  run.runOne(device().shuffled ? ready[device().random() % ready.size()] : ready[0]);
}

void runOne(CUstream_st& stream) {
  if (const auto graph = stream.queue.front().graph; graph && !graph->open.empty()) {
    runNode(*graph);
    if (!graph->open.empty()) return;
  }
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
    if (!s->queue.empty() && (s->queue.front().ready || s->queue.front().graph)) return true;
  return false;
}

void capture(cudaStream_t stream, Work work, std::function<bool()> ready) {
  CUgraph_st& graph = *stream->capture->graph;
  graph.nodes.push_back({std::move(work), stream->last, std::move(ready)});
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

cudaError_t add(cudaStream_t stream, Work work, std::function<bool()> ready) {
  if (!stream) return cudaErrorInvalidValue;  // the backend never uses the default stream
  if (stream->device != currentDevice()) return cudaErrorInvalidResourceHandle;
  if (stream->capture)
    capture(stream, std::move(work), std::move(ready));
  else
    stream->queue.push_back({.work = std::move(work), .ready = std::move(ready)});
  return cudaSuccess;
}

std::vector<size_t> GraphRun::runnable() const {
  std::vector<size_t> nodes;
  for (size_t i : open) {
    const Node& node = graph->nodes[i];
    const bool follows = std::all_of(node.after.begin(), node.after.end(),
                                     [&](size_t before) { return done[before]; });
    if (follows && (!node.ready || node.ready())) nodes.push_back(i);
  }
  return nodes;
}

void GraphRun::runOne(size_t node) {
  if (graph->nodes[node].work) graph->nodes[node].work();
  done[node] = true;
  open.erase(std::find(open.begin(), open.end(), node));
}

}  // namespace meshplan::emulation
