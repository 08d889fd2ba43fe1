// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cpu/cpu_kernels.h"
#include "backend/host_tensor.h"
#include "backend/rank_device.h"

namespace meshplan {

/// The processor that the rank runs on, with `threads` threads of its own. Used by the thread that
/// made it.
class CpuDevice : public RankDevice {
 public:
  explicit CpuDevice(int threads);

  void* allocate(int64_t bytes, std::string_view what) override;
  void zero(void* to, int64_t bytes) override;
  void copyRows(void* to, int64_t toPitch, const void* from, int64_t fromPitch, int64_t width,
                int64_t rows) override;
  void upload(void* to, const void* hostFrom, int64_t bytes) override;
  void download(void* hostTo, const void* from, int64_t bytes) override;
  void add(void* sum, const void* part, int64_t count, DType type) override;
  void computeIn(Precision precision) override;
  void run(const KernelCall& call) override;
  void update(const ParameterUpdate& update) override;
  void findOverflow(const void* gradient, int64_t count, DType type) override;
  float* overflow() override { return nullptr; }
  void lossStatistics(const KernelCall& call, const TensorView& statistics) override;
  void lossFinish(const KernelCall& call, const TensorView& statistics) override;
  void lossGradient(const KernelCall& call, const TensorView& statistics) override;
  void beginStep(const StepValues& values) override;
  void addLoss(const TensorView& value, double share) override;
  StepResult endStep() override { return {loss_}; }

  bool hasStreams() const override { return false; }
  void use(Stream) override {}
  void waitFor(Stream) override {}
  bool canCapture() const override { return false; }
  void beginCapture() override {}
  void endCapture() override {}
  void replay() override {}

 private:
  CpuContext context_;
  OptimizerSettings settings_;
  double loss_ = 0;
  std::vector<HostTensor> memory_;
};

}  // namespace meshplan
