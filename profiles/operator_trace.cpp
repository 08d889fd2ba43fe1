// SPDX-License-Identifier: Apache-2.0
#include "profiles/operator_trace.h"

#include "profiles/trace_collection.h"

namespace meshplan {

uint32_t OperatorTrace::intern(std::string_view text) {
  const auto [it, added] = ids_.try_emplace(std::string(text), static_cast<uint32_t>(ids_.size()));
  if (added) texts_.emplace_back(text);
  return it->second;
}

uint32_t OperatorTrace::internCall(const std::string& dims, const std::string& types,
                                   const std::string& values) {
  return intern(dims + '\n' + types + '\n' + values);
}

size_t OperatorTrace::addRange(const Range& range) {
  ranges_.push_back(range);
  return ranges_.size() - 1;
}

void OperatorTrace::addKernel(size_t range, uint32_t kernel, double seconds) {
  kernels_.push_back({static_cast<int64_t>(range), 0, 0, kernel, seconds});
}

void OperatorTrace::addKernelAt(uint64_t thread, int64_t time, uint32_t kernel, double seconds) {
  kernels_.push_back({-1, thread, time, kernel, seconds});
}

void OperatorTrace::addUntied(uint32_t kernel, double seconds) {
  addKernelAt(UINT64_MAX, INT64_MIN, kernel, seconds);
}

void OperatorTrace::collect(ImportCollector& collector) {
  TraceCollection(*this, collector).run();
}

}  // namespace meshplan
