// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <charconv>
#include <ctime>
#include <mutex>

#include "backend/cuda/activity_recorder.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/event_recorder.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/cuda/shared_gpu.h"
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
  e.device = gpuModel(gpu);
  e.fingerprint = fmt::format("{}, {} multiprocessors, {} MiB, driver for CUDA {}", gpu.name,
                              gpu.multiprocessors, gpu.memory.value / kMiB, state.driver);
  e.libraries = librariesText(state);
  return e;
}

std::string hexadecimal(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

/// Empty when the text is not hexadecimal.
std::vector<std::byte> bytesOf(const std::string& text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    uint8_t byte = 0;
    const char* const digits = text.data() + i;
    if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return {};
    bytes.push_back(static_cast<std::byte>(byte));
  }
  return bytes;
}

class GpuBackend final : public RankBackend {
 public:
  explicit GpuBackend(const GpuState& state)
      : environment_(environmentOf(state)), gpus_(static_cast<int>(state.gpus.size())) {}

  Environment environment() const override { return environment_; }
  std::string transport() const override { return sharing_ ? "one-gpu" : "nccl"; }
  bool ownDevices() const override { return !sharing_; }
  bool teaches() const override { return !sharing_; }
  // The first step chooses algorithms; after the recorded ones steps are captured and repeated.
  RecordedSteps recordedSteps() const override { return {1, 8}; }

  void runThreads(int ranks, const std::function<void(Communicator&)>& body) override;
  RankParts open(Communicator& world) override;
  std::unique_ptr<StepRecorder> recorder(RankParts& parts, const RecorderSettings& s) override;

  void use(const std::vector<AlgorithmChoice>& choices) override;
  std::vector<AlgorithmChoice> found() const override { return found_; }

 private:
  void openTrace();
  /// A rank's context ends with what it has timed.
  class Device;

  Environment environment_;
  const int gpus_;
  bool sharing_ = false;
  std::unique_ptr<SharedGpuWorld> shared_;  // while ranks run
  std::once_flag traced_;
  std::unique_ptr<ActivityTrace> trace_;
  std::vector<MatrixChoice> choices_;
  std::mutex foundMutex_;
  std::vector<AlgorithmChoice> found_;
};

class GpuBackend::Device final : public CudaDevice {
 public:
  Device(GpuBackend& backend, int index, int rank) : CudaDevice(index, rank), backend_(backend) {
    context().kept<MatrixChoices>().use(backend.choices_);
  }
  ~Device() override {
    const std::lock_guard lock(backend_.foundMutex_);
    for (const MatrixChoice& c : context().kept<MatrixChoices>().timed())
      backend_.found_.push_back({backend_.environment_, c.key, hexadecimal(c.algorithm),
                                 Seconds(c.seconds), std::time(nullptr)});
  }

 private:
  GpuBackend& backend_;
};

void GpuBackend::runThreads(int ranks, const std::function<void(Communicator&)>& body) {
  if (ranks == 1 || gpus_ > 1) return runInProcess(ranks, body);
  InProcessWorld hosts(ranks);
  sharing_ = true;
  shared_ = std::make_unique<SharedGpuWorld>(hosts);
  runInProcess(hosts, body);
  shared_.reset();
}

RankParts GpuBackend::open(Communicator& world) {
  auto device = std::make_unique<Device>(*this, world.rank() % gpus_, world.rank());
  std::unique_ptr<Communicator> data;
  if (shared_)
    data = shared_->connect(device->context());
  else if (world.size() > 1)
    throw Error(ErrorKind::usage, "ranks on several GPUs cannot exchange their data yet",
                "start one rank, or all of them as threads on a machine with one GPU");
  return {std::move(device), std::move(data)};
}

std::unique_ptr<StepRecorder> GpuBackend::recorder(RankParts& parts, const RecorderSettings& s) {
  CudaContext& context = static_cast<CudaDevice&>(*parts.device).context();
  std::call_once(traced_, [this] { openTrace(); });
  if (!trace_)
    return std::make_unique<EventRecorder>(context, s.program, s.stage, s.epoch, s.keeps);
  return std::make_unique<ActivityRecorder>(*trace_, context.rank(), s.program, s.stage, s.epoch,
                                            s.keeps);
}

void GpuBackend::openTrace() {
  std::string reason;
  trace_ = openActivityTrace(reason);
  environment_.libraries +=
      trace_ ? ", timed by " + trace_->name() : ", timed by CUDA events: " + reason;
}

void GpuBackend::use(const std::vector<AlgorithmChoice>& choices) {
  for (const AlgorithmChoice& c : choices)
    if (c.environment.device == environment_.device)
      choices_.push_back({c.key, bytesOf(c.algorithm), c.seconds.value});
}

}  // namespace

std::unique_ptr<RankBackend> gpuBackend(int ranks) {
  const GpuState state = gpuState();
  const auto gpus = static_cast<int>(state.gpus.size());
  if (gpus == 0) throw Error(ErrorKind::usage, state.problem, state.remedy);
  if (gpus > 1 && ranks > gpus)
    throw Error(ErrorKind::usage, fmt::format("{} ranks, and {} GPUs", ranks, gpus),
                "start at most one rank per GPU");
  return std::make_unique<GpuBackend>(state);
}

}  // namespace meshplan
