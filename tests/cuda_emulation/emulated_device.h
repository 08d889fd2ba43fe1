// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the calls of the emulated runtime share: the device's streams, memory and graphs, all behind
// one lock, and how work gets done.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/cuda_emulation/cuda_runtime_api.h"

namespace meshplan::emulation {

using Work = std::function<void()>;

struct Node {
  Work work;
  std::vector<size_t> after;         // earlier nodes
  std::function<bool()> ready = {};  // empty, or when it may run besides
};

}  // namespace meshplan::emulation

struct CUgraph_st {
  std::vector<meshplan::emulation::Node> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};

namespace meshplan::emulation {

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

/// A graph on its way: which nodes are open.
struct GraphRun {
  std::shared_ptr<const CUgraph_st> graph;
  std::vector<bool> done;
  std::vector<size_t> open;

  /// Nodes that may run now.
  std::vector<size_t> runnable() const;
  void runOne(size_t node);
};

struct Operation {
  Work work = {};
  std::function<bool()> ready = {};  // empty, or when it may run
  std::shared_ptr<Mark> waits = {};  // runs only when this is done
  std::shared_ptr<Mark> marks = {};
  std::shared_ptr<GraphRun> graph = {};  // instead of work
};

}  // namespace meshplan::emulation

struct CUstream_st {
  int device = 0;
  std::deque<meshplan::emulation::Operation> queue;
  meshplan::emulation::Capture* capture = nullptr;
  std::vector<size_t> last;  // nodes that the next captured one comes after
};

struct CUevent_st {
  int device = 0;
  std::shared_ptr<meshplan::emulation::Mark> mark;
  meshplan::emulation::Capture* capture = nullptr;
  std::vector<size_t> nodes;
};

namespace meshplan::emulation {

struct Allocation {
  size_t bytes = 0;
  int device = 0;
};

/// All state of the emulated devices.
struct Device {
  std::recursive_mutex mutex;
  std::set<cudaStream_t> streams;
  std::map<const void*, Allocation> memory, pinned;
  std::vector<std::unique_ptr<Capture>> captures;
  Device();

  std::string name = "Emulated GPU";
  std::vector<int> visible = {0};  // of those that the machine has
  std::vector<size_t> used;        // by visible device
  size_t total = size_t{4} << 30;  // of each
  int multiprocessors = 4;
  std::mt19937_64 random;
  bool shuffled = false;
  int64_t calls = 0, failAt = 0, operations = 0;
  bool once = false;
  cudaError_t failure = cudaSuccess, sticky = cudaSuccess;
};

Device& device();
/// The one that the calling thread uses.
int currentDevice();
using Lock = std::lock_guard<std::recursive_mutex>;

/// What a call returns before it does anything.
cudaError_t entering();
#define MESHPLAN_ENTER()           \
  const Lock lock(device().mutex); \
  if (const cudaError_t e = entering(); e != cudaSuccess) return e

/// Runs one operation of one stream, of `asked` if it can; false when none can run.
bool runAny(cudaStream_t asked);
/// Runs streams, one operation of one of them after another, until `enough`.
cudaError_t runUntil(cudaStream_t asked, const std::function<bool()>& enough);
/// To the end of the stream, or of what it captures.
cudaError_t add(cudaStream_t stream, Work work, std::function<bool()> ready = {});

}  // namespace meshplan::emulation
