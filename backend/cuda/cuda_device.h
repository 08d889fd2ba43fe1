// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// One GPU, or a share of one, as the device of a rank.
class CudaDevice : public RankDevice {
 public:
  CudaDevice(int index, int rank) : context_(index, rank) {}

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
  float* overflow() override { return &context_.stepValues()->overflow; }
  void lossStatistics(const KernelCall& call, const TensorView& statistics) override;
  void lossFinish(const KernelCall& call, const TensorView& statistics) override;
  void lossGradient(const KernelCall& call, const TensorView& statistics) override;
  void beginStep(const StepValues& values) override { context_.setStepValues(values); }
  void addLoss(const TensorView& value, double share) override;
  StepResult endStep() override { return context_.finishStep(); }

  bool hasStreams() const override { return true; }
  void use(Stream stream) override { context_.use(stream); }
  void waitFor(Stream before) override { context_.waitFor(before); }
  /// False once an operator had to run on the host.
  bool canCapture() const override { return context_.onHost().empty(); }
  void beginCapture() override { context_.beginCapture(); }
  void endCapture() override { context_.endCapture(); }
  void replay() override { context_.replay(); }

  CudaContext& context() { return context_; }

 private:
  CudaContext context_;
};

}  // namespace meshplan
