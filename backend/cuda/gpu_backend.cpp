// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <mutex>

#include "backend/cuda/activity_recorder.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/event_recorder.h"
#include "backend/gpus.h"
#include "core/error.h"

namespace meshplan {
namespace {

std::string librariesText(const GpuState& state) {
  std::string text = "CUDA " + state.runtime;
  for (const GpuLibrary& library : gpuLibraries())
    if (library.problem.empty()) text += fmt::format(", {} {}", library.name, library.version);
  return text;
}

Environment environmentOf(const GpuState& state) {
  const Gpu& gpu = state.gpus.front();
  Environment e;
  e.device = gpuModel(gpu.name);
  e.fingerprint = fmt::format("{}, {} multiprocessors, {} MiB, driver for CUDA {}", gpu.name,
                              gpu.multiprocessors, gpu.memory.value / kMiB, state.driver);
  e.libraries = librariesText(state);
  return e;
}

class GpuBackend final : public RankBackend {
 public:
  explicit GpuBackend(const GpuState& state) : environment_(environmentOf(state)) {}

  Environment environment() const override { return environment_; }
  std::string transport() const override { return "nccl"; }
  bool ownDevices() const override { return true; }
  // The first step chooses algorithms; after the recorded ones steps are captured and repeated.
  RecordedSteps recordedSteps() const override { return {1, 8}; }

  RankParts open(Communicator& world) override {
    return {std::make_unique<CudaDevice>(world.rank(), world.rank()), nullptr};
  }
  std::unique_ptr<StepRecorder> recorder(RankParts& parts, const RecorderSettings& s) override {
    CudaContext& context = static_cast<CudaDevice&>(*parts.device).context();
    std::call_once(traced_, [this] { openTrace(); });
    if (trace_)
      return std::make_unique<ActivityRecorder>(*trace_, context.rank(), s.program, s.stage,
                                                s.epoch, s.keeps);
    return std::make_unique<EventRecorder>(context, s.program, s.stage, s.epoch, s.keeps);
  }

 private:
  void openTrace() {
    std::string reason;
    trace_ = openActivityTrace(reason);
    environment_.libraries +=
        trace_ ? ", timed by " + trace_->name() : ", timed by CUDA events: " + reason;
  }

  Environment environment_;
  std::once_flag traced_;
  std::unique_ptr<ActivityTrace> trace_;
};

}  // namespace

std::unique_ptr<RankBackend> gpuBackend(int ranks) {
  const GpuState state = gpuState();
  if (state.gpus.empty()) throw Error(ErrorKind::usage, state.problem, state.remedy);
  if (ranks > 1)
    throw Error(ErrorKind::usage, fmt::format("{} ranks on GPUs", ranks), "start one rank");
  return std::make_unique<GpuBackend>(state);
}

}  // namespace meshplan
