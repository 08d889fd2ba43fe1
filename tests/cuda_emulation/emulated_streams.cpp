// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/emulated_device.h"

using namespace meshplan::emulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  MESHPLAN_ENTER();
  *stream = new CUstream_st;
  (*stream)->device = currentDevice();
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
  if (event->mark && !event->mark->done) stream->queue.push_back({.waits = event->mark});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  MESHPLAN_ENTER();
  *event = new CUevent_st;
  (*event)->device = currentDevice();
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
  if (stream->device != event->device) return cudaErrorInvalidResourceHandle;
  event->capture = stream->capture;
  if (stream->capture) {
    event->nodes = stream->last;
    return cudaSuccess;
  }
  event->mark = std::make_shared<Mark>();
  stream->queue.push_back({.marks = event->mark});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  MESHPLAN_ENTER();
  if (!event->mark) return cudaSuccess;
  return runUntil(nullptr, [&] { return event->mark->done; });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  MESHPLAN_ENTER();
  if (!event->mark || event->mark->done) return cudaSuccess;
  runAny(nullptr);
  return event->mark->done ? cudaSuccess : cudaErrorNotReady;
}

// One operation takes a millisecond.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  MESHPLAN_ENTER();
  if (!start->mark || !end->mark) return cudaErrorInvalidValue;
  if (!start->mark->done || !end->mark->done) return cudaErrorNotReady;
  *milliseconds = static_cast<float>(end->mark->when - start->mark->when);
  return cudaSuccess;
}
