// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/cuda/cuda_context.h"
#include "tests/backend/kernel_harness.h"

namespace meshplan {

/// Runs kernels of the GPU for the harness: copies tensors there and results back. What a kernel
/// does not write comes back as NaN (bytes of 0xff).
class GpuRunner {
 public:
  GpuRunner() : context_(0, 0) {}

  void run(const KernelCall& call);
  KernelRunner runner() {
    return [this](const KernelCall& call) { run(call); };
  }
  CudaContext& context() { return context_; }
  /// The operators that had no kernel so far.
  const std::vector<std::string>& onHost() const { return context_.onHost(); }

 private:
  std::byte* place(int64_t bytes);

  CudaContext context_;
  std::byte* memory_ = nullptr;
  int64_t bytes_ = 0, used_ = 0;
};

}  // namespace meshplan
