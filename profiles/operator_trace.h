// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "profiles/imported.h"

namespace meshplan {

/// What a profiler saw of one process of PyTorch: ranges of host threads, nested by time, that
/// stand for calls of operators and of autograd's nodes, and the time of the kernels that they
/// launched. Times are nanoseconds of one clock.
class OperatorTrace {
 public:
  struct Range {
    uint32_t name = 0, call = 0;  // of `intern`; call: dims, types and values, see setCall
    int64_t begin = 0, end = 0;
    uint64_t thread = 0;
    int64_t sequence = -1;  // autograd's number, shared by a call and the node of its gradient
  };

  uint32_t intern(std::string_view text);
  /// The JSON arrays of parseAtenCall as one interned text.
  uint32_t internCall(const std::string& dims, const std::string& types, const std::string& values);

  size_t addRange(const Range& range);
  /// A kernel that a range launched itself, or that the innermost range of a thread at a time did.
  void addKernel(size_t range, uint32_t kernel, double seconds);
  void addKernelAt(uint64_t thread, int64_t time, uint32_t kernel, double seconds);
  void addUntied(uint32_t kernel, double seconds);

  /// Hands on one timing per call: the outermost operator that graphs have too, with all kernels
  /// below it. Gradients are those below the autograd node of the same sequence number. Without any
  /// kernel in the trace the time is the host's: that of the innermost call of the same operator
  /// (aten::addmm of aten::linear). Ends the trace.
  void collect(ImportCollector& collector);

  size_t ranges() const { return ranges_.size(); }

 private:
  friend class TraceCollection;
  struct Kernel {
    int64_t range;  // -1: see thread and time
    uint64_t thread;
    int64_t time;
    uint32_t name;
    double seconds;
  };

  std::vector<Range> ranges_;
  std::vector<Kernel> kernels_;
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<std::string> texts_;
};

}  // namespace meshplan
