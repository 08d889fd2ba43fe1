// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Memory of the device for a while; none when there is no room, or none was asked for. Freeing it
/// waits for the device.
class TemporaryMemory {
 public:
  explicit TemporaryMemory(int64_t bytes);
  ~TemporaryMemory();
  TemporaryMemory(const TemporaryMemory&) = delete;
  TemporaryMemory& operator=(const TemporaryMemory&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

struct Fastest {
  size_t index = 0;
  double seconds = 0;
};

/// Which of `count` candidates takes the least time on the stream in use: each runs once to warm up
/// (one that takes more than twice the best is given up then), then the median of three
/// measurements of about 200 microseconds counts. `run` enqueues a candidate and says whether it
/// could. Waits; not for captures. Empty when none runs.
std::optional<Fastest> fastestOf(CudaContext& context, size_t count,
                                 const std::function<bool(size_t)>& run);

}  // namespace meshplan
