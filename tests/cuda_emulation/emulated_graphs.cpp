// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "tests/cuda_emulation/emulated_device.h"

using namespace meshplan::emulation;

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
  *exec = new CUgraphExec_st{std::make_shared<const CUgraph_st>(*graph)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  MESHPLAN_ENTER();
  if (stream->device != currentDevice()) return cudaErrorInvalidResourceHandle;
  const size_t nodes = exec->graph->nodes.size();
  auto run = std::make_shared<GraphRun>();
  run->graph = exec->graph;
  run->done.resize(nodes);
  run->open.resize(nodes);
  std::iota(run->open.begin(), run->open.end(), size_t{0});
  stream->queue.push_back({.graph = std::move(run)});
  return cudaSuccess;
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
