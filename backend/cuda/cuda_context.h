// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "backend/optimizer_rules.h"
#include "backend/rank_device.h"

namespace meshplan {

/// An index from the data that names nothing, as a kernel found it. The pointers are of the host.
struct WrongIndex {
  unsigned count = 0;
  const char* op = nullptr;    // CudaContext::lasting of its name
  const char* what = nullptr;  // what is wrong, with {} for the index and the size
  int64_t index = 0, size = 0;
};

/// Values of the step as kernels find them in the device's memory: a captured step is repeated with
/// other ones.
struct DeviceStepValues {
  optimizer::Rates<double> rates;
  double loss = 0;
  float unscale = 1;   // takes the loss scale out of gradients
  float overflow = 0;  // not 0: they are not finite
  WrongIndex wrong;
};

/// One GPU as one rank uses it: streams, memory, and what libraries keep between calls. Everything
/// is issued by one thread. Every call of the runtime is checked; Error(runtime) names the call,
/// the rank and the device. Destroying it waits for all work.
class CudaContext {
 public:
  /// Makes device `index` current for the calling thread. `rank` is for messages.
  CudaContext(int index, int rank);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  int index() const { return index_; }
  int rank() const { return rank_; }
  int multiprocessors() const { return multiprocessors_; }
  /// Compute capability, 90 for 9.0.
  int capability() const { return capability_; }

  void check(cudaError_t status, const char* call) const;
  /// For status codes of libraries: throws unless `status` is 0.
  void check(int status, const char* call, const char* text) const;

  // Streams (core/program.h); what is issued goes to the one in use.
  cudaStream_t stream() const { return streams_[current_]; }
  cudaStream_t stream(Stream s) const { return streams_[static_cast<size_t>(s)]; }
  Stream used() const { return static_cast<Stream>(current_); }
  void use(Stream s) { current_ = static_cast<size_t>(s); }
  void waitFor(Stream before);
  /// Until all work has ended.
  void synchronize();
  /// Until what was issued before the event was recorded has ended.
  void await(cudaEvent_t event);
  /// Called again and again while these wait; may throw to end the wait. Empty: nothing.
  void pollWith(std::function<void()> poll) { poll_ = std::move(poll); }

  /// Memory of the device, not cleared, kept until the context goes; `what` it is for.
  void* allocate(int64_t bytes, std::string_view what);
  /// Memory of the host that copies can read while the host goes on.
  void* allocatePinned(int64_t bytes);
  /// At least `bytes` bytes of the device, aligned to 256, for what is issued on the stream in use
  /// until the next call with this `purpose` there. Must not grow while a step is captured: run it
  /// once before.
  void* scratch(int64_t bytes, int purpose = 0);
  static constexpr int kBeside = 1;  // and the ones after it: purposes of runBeside

  /// In the device's memory, by KernelCall::seedSlot.
  const uint64_t* seed(int64_t slot) const { return seeds_ + slot; }
  DeviceStepValues* stepValues() const { return values_; }
  void setStepValues(const StepValues& values);
  OptimizerKind optimizer() const { return optimizer_; }
  /// Waits for all work; what kernels left in DeviceStepValues. Error(runtime) naming the operator
  /// that met a WrongIndex.
  StepResult finishStep();

  void beginCapture();
  void endCapture();
  void replay();
  bool captures() const { return captures_; }

  /// One object of a type, made when it is first asked for with the context, destroyed before the
  /// streams.
  template <class T>
  T& kept() {
    auto slot = kept_.find(std::type_index(typeid(T)));
    if (slot == kept_.end()) {
      // Made before it is put there: it may ask for others itself, or fail.
      Kept made(new T(*this), [](void* p) { delete static_cast<T*>(p); });
      slot = kept_.emplace(std::type_index(typeid(T)), std::move(made)).first;
    }
    return *static_cast<T*>(slot->second.get());
  }

  /// The same text, as long as the context.
  const char* lasting(const std::string& text) { return texts_.insert(text).first->c_str(); }

  /// Operators that ran on the host, for want of a kernel, in the order of their first call.
  void ranOnHost(std::string_view def);
  const std::vector<std::string>& onHost() const { return onHost_; }

 private:
  using Kept = std::unique_ptr<void, void (*)(void*)>;
  struct Scratch {
    void* data = nullptr;
    int64_t bytes = 0;
  };

  void awaitStream(cudaStream_t stream);
  /// While `query` says that something is not ready.
  void awaitPolling(const std::function<cudaError_t()>& query, const char* call);
  void release();

  const int index_, rank_;
  int multiprocessors_ = 1, capability_ = 0;
  size_t current_ = 0;
  std::function<void()> poll_;
  std::array<cudaStream_t, kStreams> streams_ = {};
  std::array<cudaEvent_t, kStreams> events_ = {};
  std::vector<void*> memory_, pinned_;
  std::map<std::pair<size_t, int>, Scratch> scratch_;  // by stream and purpose
  OptimizerKind optimizer_ = OptimizerKind::adamw;
  DeviceStepValues *values_ = nullptr, *pinnedValues_ = nullptr;
  uint64_t *seeds_ = nullptr, *pinnedSeeds_ = nullptr;
  int64_t seedCount_ = 0;
  bool captures_ = false;
  cudaGraphExec_t step_ = nullptr;
  std::vector<std::string> onHost_;
  std::set<std::string> texts_;
  std::unordered_map<std::type_index, Kept> kept_;
};

}  // namespace meshplan
