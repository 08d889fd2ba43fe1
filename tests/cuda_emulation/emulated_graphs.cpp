// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/cuda_emulation/emulated_device.h"

using namespace meshplan::emulation;

namespace {

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

}  // namespace

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
