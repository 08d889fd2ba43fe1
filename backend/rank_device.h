// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "backend/kernel.h"
#include "backend/optimizer.h"
#include "core/program.h"

namespace meshplan {

/// What changes from one training step to the next: `seeds` by KernelCall::seedSlot.
struct StepValues {
  OptimizerSettings optimizer;
  std::span<const uint64_t> seeds;
  double lossScale = 1;  // that gradients carry (fp16); `update` takes it out
};

struct StepResult {
  double loss = 0;
  bool overflowed = false;  // and nothing was updated
};

/// What an executor needs of the hardware of one rank: memory and kernels. Calls of one device come
/// from one thread. On a device without streams they have taken effect when they return; on one
/// with streams they go to the stream in use and take effect in its order. Errors are
/// Error(runtime).
class RankDevice {
 public:
  virtual ~RankDevice() = default;

  /// Zeroed memory of the device, aligned to 256 bytes, kept until the device goes; `what` it is
  /// for, should there be too little.
  virtual void* allocate(int64_t bytes, std::string_view what) = 0;
  virtual void zero(void* to, int64_t bytes) = 0;
  /// Rows of `width` bytes that lie `fromPitch` and `toPitch` bytes apart.
  virtual void copyRows(void* to, int64_t toPitch, const void* from, int64_t fromPitch,
                        int64_t width, int64_t rows) = 0;
  /// `hostFrom` may be changed at once.
  virtual void upload(void* to, const void* hostFrom, int64_t bytes) = 0;
  /// Waits for what was issued before and for the bytes.
  virtual void download(void* hostTo, const void* from, int64_t bytes) = 0;
  /// sum[i] += part[i].
  virtual void add(void* sum, const void* part, int64_t count, DType type) = 0;

  /// What the program computes in, told before its first step: tf32 allows products of fp32 tensors
  /// to be made in tf32. Throws Error(usage) when the device cannot.
  virtual void computeIn(Precision precision) = 0;

  virtual void run(const KernelCall& call) = 0;
  /// By the settings of the step; nothing once `overflow` is set.
  virtual void update(const ParameterUpdate& update) = 0;

  /// Sets `overflow` when an element is not finite.
  virtual void findOverflow(const void* gradient, int64_t count, DType type) = 0;
  /// One fp32 number in the device's memory, 0 when a step begins. Null where nothing is scaled.
  virtual float* overflow() = 0;

  // A cross-entropy whose vocabulary is split over ranks (planner/split_loss.h). Statistics are
  // [ranks, rows..., 3]; `call` is that of the whole operator.
  virtual void lossStatistics(const KernelCall& call, const TensorView& statistics) = 0;
  virtual void lossFinish(const KernelCall& call, const TensorView& statistics) = 0;
  virtual void lossGradient(const KernelCall& call, const TensorView& statistics) = 0;

  virtual void beginStep(const StepValues& values) = 0;
  /// Counts `share` times this value in the step's loss.
  virtual void addLoss(const TensorView& value, double share) = 0;
  /// Waits for all work of the step.
  virtual StepResult endStep() = 0;

  // Streams. What is issued goes to the one in use.
  virtual bool hasStreams() const = 0;
  virtual void use(Stream stream) = 0;
  /// What is issued from now on begins after all that was issued on `before` so far.
  virtual void waitFor(Stream before) = 0;

  // What is issued between `beginCapture` and `endCapture` does not run, but every `replay` runs it
  // again, with the values of its step.
  virtual bool canCapture() const = 0;
  virtual void beginCapture() = 0;
  virtual void endCapture() = 0;
  virtual void replay() = 0;
};

}  // namespace meshplan
