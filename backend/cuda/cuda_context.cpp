// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_context.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

Error wrongIndex(const WrongIndex& wrong) {
  return Error(ErrorKind::runtime, fmt::format(fmt::runtime(wrong.what), wrong.index, wrong.size),
               "check the data")
      .at(wrong.op);
}

}  // namespace

CudaContext::CudaContext(int index, int rank) : index_(index), rank_(rank) {
  try {
    check(cudaSetDevice(index), "cudaSetDevice");
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    multiprocessors_ = properties.multiProcessorCount;
    capability_ = properties.major * 10 + properties.minor;
    for (cudaStream_t& s : streams_)
      check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
    for (cudaEvent_t& e : events_)
      check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreate");
    values_ = static_cast<DeviceStepValues*>(allocate(sizeof *values_, "the values of a step"));
    pinnedValues_ = static_cast<DeviceStepValues*>(allocatePinned(sizeof *values_));
  } catch (...) {
    release();
    throw;
  }
}

CudaContext::~CudaContext() {
  release();
}

// After an error that sticks these calls fail too, and there is nobody left to tell.
void CudaContext::release() {
  // Not the whole device: other ranks may wait there for this one, which has failed.
  for (cudaStream_t s : streams_)
    if (s) cudaStreamSynchronize(s);
  kept_.clear();
  if (step_) cudaGraphExecDestroy(step_);
  for (cudaEvent_t e : events_)
    if (e) cudaEventDestroy(e);
  for (cudaStream_t s : streams_)
    if (s) cudaStreamDestroy(s);
  for (void* m : memory_) cudaFree(m);
  for (void* m : pinned_) cudaFreeHost(m);
}

void CudaContext::check(cudaError_t status, const char* call) const {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // errors that do not stick are told once
  throw Error(ErrorKind::runtime,
              fmt::format("{} failed on GPU {} of rank {}: {} ({})", call, index_, rank_,
                          cudaGetErrorString(status), cudaGetErrorName(status)));
}

void CudaContext::check(int status, const char* call, const char* text) const {
  if (status == 0) return;
  throw Error(ErrorKind::runtime, fmt::format("{} failed on GPU {} of rank {}: {} ({})", call,
                                              index_, rank_, text, status));
}

void CudaContext::waitFor(Stream before) {
  const auto other = static_cast<size_t>(before);
  if (other == current_) return;
  check(cudaEventRecord(events_[other], streams_[other]), "cudaEventRecord");
  check(cudaStreamWaitEvent(stream(), events_[other], 0), "cudaStreamWaitEvent");
}

void CudaContext::synchronize() {
  for (cudaStream_t s : streams_) awaitStream(s);
}

void CudaContext::awaitStream(cudaStream_t stream) {
  if (!poll_) return check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  awaitPolling([&] { return cudaStreamQuery(stream); }, "cudaStreamQuery");
}

void CudaContext::await(cudaEvent_t event) {
  if (!poll_) return check(cudaEventSynchronize(event), "cudaEventSynchronize");
  awaitPolling([&] { return cudaEventQuery(event); }, "cudaEventQuery");
}

void CudaContext::awaitPolling(const std::function<cudaError_t()>& query, const char* call) {
  for (cudaError_t status = query();; status = query()) {
    if (status != cudaErrorNotReady) return check(status, call);
    poll_();
    std::this_thread::yield();
  }
}

void* CudaContext::allocate(int64_t bytes, std::string_view what) {
  void* at = nullptr;
  const cudaError_t status = cudaMalloc(&at, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorKind::runtime,
                fmt::format("GPU {} of rank {} has no room for {}: {:.1f} MiB are needed, {:.1f} "
                            "of {:.1f} MiB are free",
                            index_, rank_, what, static_cast<double>(bytes) / kMiB,
                            static_cast<double>(free) / kMiB, static_cast<double>(total) / kMiB),
                "end what else uses the GPU, or plan with less --memory");
  }
  check(status, "cudaMalloc");
  memory_.push_back(at);
  return at;
}

void* CudaContext::allocatePinned(int64_t bytes) {
  void* at = nullptr;
  check(cudaMallocHost(&at, static_cast<size_t>(std::max<int64_t>(bytes, 1))), "cudaMallocHost");
  pinned_.push_back(at);
  return at;
}

void* CudaContext::scratch(int64_t bytes, int purpose) {
  Scratch& own = scratch_[{current_, purpose}];
  if (own.bytes >= bytes) return own.data;
  if (captures_) throw Error(ErrorKind::internal, "scratch memory grows while a step is captured");
  // Work that was issued may still use the old one, which stays.
  const int64_t grown = std::max(bytes, own.bytes + own.bytes / 2);
  own = {allocate(grown, "scratch memory"), grown};
  return own.data;
}

void CudaContext::setStepValues(const StepValues& values) {
  optimizer_ = values.optimizer.kind;
  *pinnedValues_ = {};
  pinnedValues_->rates = optimizer::Rates<double>(values.optimizer);
  pinnedValues_->unscale = static_cast<float>(1 / values.lossScale);
  const auto count = static_cast<int64_t>(values.seeds.size());
  if (count > seedCount_) {
    const auto bytes = static_cast<int64_t>(values.seeds.size_bytes());
    seeds_ = static_cast<uint64_t*>(allocate(bytes, "seeds of random numbers"));
    pinnedSeeds_ = static_cast<uint64_t*>(allocatePinned(bytes));
    seedCount_ = count;
  }
  std::copy(values.seeds.begin(), values.seeds.end(), pinnedSeeds_);
  check(cudaMemcpyAsync(values_, pinnedValues_, sizeof *values_, cudaMemcpyHostToDevice,
                        stream(Stream::compute)),
        "cudaMemcpyAsync");
  if (count > 0)
    check(cudaMemcpyAsync(seeds_, pinnedSeeds_, values.seeds.size_bytes(), cudaMemcpyHostToDevice,
                          stream(Stream::compute)),
          "cudaMemcpyAsync");
}

StepResult CudaContext::finishStep() {
  synchronize();
  check(cudaMemcpyAsync(pinnedValues_, values_, sizeof *values_, cudaMemcpyDeviceToHost,
                        stream(Stream::compute)),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream(Stream::compute)), "cudaStreamSynchronize");
  if (pinnedValues_->wrong.count > 0) throw wrongIndex(pinnedValues_->wrong);
  return {pinnedValues_->loss, pinnedValues_->overflow != 0};
}

void CudaContext::beginCapture() {
  use(Stream::compute);
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  captures_ = true;
  // Every stream takes part, so that work on any is captured whoever issues first.
  for (int s = 1; s < kStreams; ++s) {
    use(static_cast<Stream>(s));
    waitFor(Stream::compute);
  }
  use(Stream::compute);
}

void CudaContext::endCapture() {
  use(Stream::compute);
  for (int s = 1; s < kStreams; ++s) waitFor(static_cast<Stream>(s));
  captures_ = false;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream(), &graph), "cudaStreamEndCapture");
  if (step_) check(cudaGraphExecDestroy(step_), "cudaGraphExecDestroy");
  step_ = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&step_, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
}

void CudaContext::replay() {
  check(cudaGraphLaunch(step_, stream(Stream::compute)), "cudaGraphLaunch");
}

void CudaContext::ranOnHost(std::string_view def) {
  if (std::find(onHost_.begin(), onHost_.end(), def) == onHost_.end()) onHost_.emplace_back(def);
}

}  // namespace meshplan
