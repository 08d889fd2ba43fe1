// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace meshplan {

/// Something that a GPU did: a kernel, a copy or a fill.
struct Activity {
  uint64_t id = 0;             // of what was pushed when it was issued
  int64_t start = 0, end = 0;  // nanoseconds of the steady clock
};

/// What the GPUs of this process did for which piece of work. One trace per process at a time;
/// nothing is traced, and no time lost, once all who joined have left.
class ActivityTrace {
 public:
  virtual ~ActivityTrace() = default;

  void join() { ++joined_; }
  void leave() {
    if (--joined_ == 0) stop();
  }

  /// What this thread issues from now on until `pop` is done for `id`, which is not 0.
  virtual void push(uint64_t id) = 0;
  virtual void pop() = 0;
  /// The activities of ids in [begin, end) that have ended since they were last taken; the GPU must
  /// have finished them.
  virtual std::vector<Activity> take(uint64_t begin, uint64_t end) = 0;
  /// Records that were lost, since the start.
  virtual int64_t lost() const = 0;
  /// "CUPTI 13.0.1"
  virtual std::string name() const = 0;

 private:
  virtual void stop() = 0;

  std::atomic<int> joined_ = 0;
};

/// Null, with the reason, where CUPTI is missing, too old or taken by another tool, or where only
/// the administrator may use it.
std::unique_ptr<ActivityTrace> openActivityTrace(std::string& reason);

}  // namespace meshplan
