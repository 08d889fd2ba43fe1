// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <mutex>

#include "backend/agreed_error.h"
#include "backend/cuda/activity_recorder.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/event_recorder.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/cuda/named_ranges.h"
#include "backend/cuda/nccl_communicator.h"
#include "backend/cuda/shared_gpu.h"
#include "backend/gpu_choice.h"
#include "backend/gpus.h"
#include "backend/host_id.h"
#include "core/error.h"

namespace meshplan {
namespace {

std::string librariesText(const GpuState& state) {
  std::string text = "CUDA " + state.runtime;
  for (const GpuLibrary& library : gpuLibraries())
    if (library.problem.empty()) text += fmt::format(", {} {}", library.name, library.version);
  return text;
}

Environment environmentOf(const GpuState& state, const Gpu& gpu) {
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

/// Which GPUs the ranks of this process use, and how their data goes from one to the other.
struct Places {
  std::vector<int> gpus;         // CUDA's indices, by rank of the world
  int ranksPerGpu = 1;           // on the fullest one
  Bytes memory;                  // for each rank
  bool throughMemory = false;    // all on one GPU, which they read and write directly
  std::unique_ptr<Nccl> nccl{};  // null where it is not needed
};

class GpuBackend final : public RankBackend {
 public:
  GpuBackend(Environment environment, Places places)
      : environment_(std::move(environment)), places_(std::move(places)) {}

  Environment environment() const override { return environment_; }
  std::string transport() const override { return places_.throughMemory ? "one-gpu" : "nccl"; }
  bool ownDevices() const override { return places_.ranksPerGpu == 1; }
  bool teaches() const override { return ownDevices(); }
  Bytes deviceMemoryUsed() const override { return used_; }
  Bytes memory() const override { return places_.memory; }
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
  const Places places_;
  std::unique_ptr<SharedGpuWorld> shared_;  // while ranks run
  std::once_flag traced_;
  std::unique_ptr<ActivityTrace> trace_;
  std::vector<MatrixChoice> choices_;
  std::mutex foundMutex_;
  std::vector<AlgorithmChoice> found_;
  Bytes used_;
};

class GpuBackend::Device final : public CudaDevice {
 public:
  Device(GpuBackend& backend, int index, int rank) : CudaDevice(index, rank), backend_(backend) {
    context().kept<MatrixChoices>().use(backend.choices_);
  }
  ~Device() override {
    const std::lock_guard lock(backend_.foundMutex_);
    size_t free = 0, total = 0;
    if (cudaMemGetInfo(&free, &total) == cudaSuccess)
      backend_.used_ = std::max(backend_.used_, Bytes(static_cast<int64_t>(total - free)));
    for (const MatrixChoice& c : context().kept<MatrixChoices>().timed())
      backend_.found_.push_back({backend_.environment_, c.key, hexadecimal(c.algorithm),
                                 Seconds(c.seconds), std::time(nullptr)});
  }

 private:
  GpuBackend& backend_;
};

void GpuBackend::runThreads(int ranks, const std::function<void(Communicator&)>& body) {
  InProcessWorld hosts(ranks);
  if (places_.throughMemory) shared_ = std::make_unique<SharedGpuWorld>(hosts);
  runInProcess(hosts, body);
  shared_.reset();
}

RankParts GpuBackend::open(Communicator& world) {
  const int gpu = places_.gpus.at(static_cast<size_t>(world.rank()));
  auto device = std::make_unique<Device>(*this, gpu, world.rank());
  std::unique_ptr<Communicator> data;
  if (shared_)
    data = shared_->connect(device->context());
  else if (places_.nccl)
    data = connectNccl(*places_.nccl, device->context(), world);
  return {std::move(device), std::move(data)};
}

std::unique_ptr<StepRecorder> GpuBackend::recorder(RankParts& parts, const RecorderSettings& s) {
  CudaContext& context = static_cast<CudaDevice&>(*parts.device).context();
  std::call_once(traced_, [this] { openTrace(); });
  std::vector<std::string> names = rangeNames(s.program, s.stage, s.graph);
  if (!trace_)
    return std::make_unique<WithRanges<EventRecorder>>(std::move(names), context, s.program,
                                                       s.stage, s.epoch, s.keeps);
  return std::make_unique<WithRanges<ActivityRecorder>>(std::move(names), *trace_, context.rank(),
                                                        s.program, s.stage, s.epoch, s.keeps);
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

double largest(Communicator& world, double value) {
  world.allReduce(&value, 1, DType::f64, ReduceOp::max);
  return value;
}

/// Whether it holds on all ranks.
bool agree(Communicator& world, bool holds) {
  return largest(world, holds ? 0 : 1) == 0;
}

/// Null, with the problem told, when it cannot be used.
std::unique_ptr<Nccl> openNccl(const LibraryNames& names, RankGpus& mine) {
  try {
    return std::make_unique<Nccl>(names);
  } catch (const Error& error) {
    if (!mine.problem.empty()) return nullptr;
    mine.problem = error.problem();
    mine.remedy = error.remedy();
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<RankBackend> gpuBackend(int ranks, const LibraryNames& nccl) {
  const GpuState state = gpuState();
  const auto gpus = static_cast<int>(state.gpus.size());
  if (gpus == 0) throw Error(ErrorKind::usage, state.problem, state.remedy);
  if (gpus > 1 && ranks > gpus)
    throw Error(ErrorKind::usage, fmt::format("{} ranks, and {} GPUs", ranks, gpus),
                "start at most one rank per GPU, or all of them on one: CUDA_VISIBLE_DEVICES=0");
  Places places;
  places.throughMemory = gpus == 1 && ranks > 1;
  places.ranksPerGpu = places.throughMemory ? ranks : 1;
  if (gpus > 1 && ranks > 1) places.nccl = std::make_unique<Nccl>(nccl);
  Bytes least{INT64_MAX};
  for (int r = 0; r < ranks; ++r) {
    places.gpus.push_back(places.throughMemory ? 0 : r);
    least = std::min(least, freeMemory(state.gpus[static_cast<size_t>(places.gpus.back())]));
  }
  places.memory = least / places.ranksPerGpu;
  return std::make_unique<GpuBackend>(environmentOf(state, state.gpus.front()), std::move(places));
}

std::unique_ptr<RankBackend> gpuBackend(Communicator& world, const LibraryNames& nccl) {
  const GpuState state = gpuState();
  Places places;
  RankGpus mine{hostId(), hostName(), state.problem, state.remedy, {}};
  for (const Gpu& gpu : state.gpus) mine.uuids.push_back(gpu.uuid);
  if (world.size() > 1) places.nccl = openNccl(nccl, mine);
  const std::vector<RankGpus> ranks = gatherGpus(world, mine);
  const bool mayShare = agree(world, places.nccl && places.nccl->sharesGpus());
  try {
    places.gpus = chooseGpus(ranks, mayShare);
  } catch (const Error& error) {
    throw AgreedError(error);
  }
  const auto own = static_cast<size_t>(places.gpus[static_cast<size_t>(world.rank())]);
  const int sharing = ranksOnGpuOf(world.rank(), ranks, places.gpus);
  places.ranksPerGpu = static_cast<int>(largest(world, sharing));
  const auto free = static_cast<double>(freeMemory(state.gpus[own]).value);
  places.memory = Bytes(static_cast<int64_t>(-largest(world, -free / sharing)));
  return std::make_unique<GpuBackend>(environmentOf(state, state.gpus[own]), std::move(places));
}

}  // namespace meshplan
