// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/kernel.h"
#include "backend/optimizer.h"

namespace meshplan {

/// What an executor needs of the hardware of one rank: memory and kernels. Calls of one device come
/// from one thread and take effect in order. Errors are Error(runtime).
class RankDevice {
 public:
  virtual ~RankDevice() = default;

  /// Zeroed memory of the device, aligned to 256 bytes, kept until the device goes.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void zero(void* to, int64_t bytes) = 0;
  /// Rows of `width` bytes that lie `fromPitch` and `toPitch` bytes apart.
  virtual void copyRows(void* to, int64_t toPitch, const void* from, int64_t fromPitch,
                        int64_t width, int64_t rows) = 0;
  virtual void upload(void* to, const void* hostFrom, int64_t bytes) = 0;
  virtual void download(void* hostTo, const void* from, int64_t bytes) = 0;
  /// sum[i] += part[i].
  virtual void add(void* sum, const void* part, int64_t count, DType type) = 0;

  virtual void run(const KernelCall& call) = 0;
  virtual void update(const OptimizerSettings& settings, const ParameterUpdate& update) = 0;

  // A cross-entropy whose vocabulary is split over ranks (planner/split_loss.h). Statistics are
  // [ranks, rows..., 3]; `call` is that of the whole operator.
  virtual void lossStatistics(const KernelCall& call, const TensorView& statistics) = 0;
  virtual void lossFinish(const KernelCall& call, const TensorView& statistics) = 0;
  virtual void lossGradient(const KernelCall& call, const TensorView& statistics) = 0;
};

}  // namespace meshplan
