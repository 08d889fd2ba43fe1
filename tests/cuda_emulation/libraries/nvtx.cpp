// SPDX-License-Identifier: Apache-2.0
// In the place of NVTX: what this thread has open, for tests to look at.
#include <map>
#include <mutex>

#include "backend/cuda/named_ranges.h"
#include "core/error.h"
#include "tests/cuda_emulation/named_ranges.h"

namespace meshplan {
namespace {

thread_local std::vector<std::string> open;
std::mutex mutex;
std::map<std::string, int64_t> closed;

}  // namespace

void beginRange(const char* name) {
  open.emplace_back(name);
}

void endRange() {
  if (open.empty()) throw Error(ErrorKind::internal, "a range ends that has not begun");
  const std::lock_guard lock(mutex);
  ++closed[open.back()];
  open.pop_back();
}

namespace emulation {

std::map<std::string, int64_t> takeClosedRanges() {
  const std::lock_guard lock(mutex);
  return std::exchange(closed, {});
}

}  // namespace emulation
}  // namespace meshplan
