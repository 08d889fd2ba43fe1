// SPDX-License-Identifier: Apache-2.0
// The CUPTI Activity API (docs.nvidia.com/cupti): facts and known defects in docs/architecture.md.
#include <cupti.h>
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

#include "backend/cuda/activity_trace.h"
#include "backend/gpu_libraries.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kBufferBytes = size_t{8} << 20;
// 13.0 before its first update may deadlock and crash (release notes of 13.0 Update 1).
constexpr uint32_t kLeastVersion = 130001;
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                                         CUPTI_ACTIVITY_KIND_RUNTIME,
                                         CUPTI_ACTIVITY_KIND_DRIVER,
                                         CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY,
                                         CUPTI_ACTIVITY_KIND_MEMSET};

/// The functions of the library that is opened.
struct Cupti {
  explicit Cupti(const DynamicLibrary& library)
      : getVersion(MESHPLAN_SYMBOL(library, cuptiGetVersion)),
        registerCallbacks(MESHPLAN_SYMBOL(library, cuptiActivityRegisterCallbacks)),
        registerTimestamp(MESHPLAN_SYMBOL(library, cuptiActivityRegisterTimestampCallback)),
        enable(MESHPLAN_SYMBOL(library, cuptiActivityEnable)),
        disable(MESHPLAN_SYMBOL(library, cuptiActivityDisable)),
        flushAll(MESHPLAN_SYMBOL(library, cuptiActivityFlushAll)),
        getNextRecord(MESHPLAN_SYMBOL(library, cuptiActivityGetNextRecord)),
        getDropped(MESHPLAN_SYMBOL(library, cuptiActivityGetNumDroppedRecords)),
        push(MESHPLAN_SYMBOL(library, cuptiActivityPushExternalCorrelationId)),
        pop(MESHPLAN_SYMBOL(library, cuptiActivityPopExternalCorrelationId)),
        resultText(MESHPLAN_SYMBOL(library, cuptiGetResultString)) {}

  std::string text(CUptiResult result) const {
    const char* found = nullptr;
    resultText(result, &found);
    return fmt::format("{} ({})", found ? found : "unknown", static_cast<int>(result));
  }

  decltype(&cuptiGetVersion) getVersion;
  decltype(&cuptiActivityRegisterCallbacks) registerCallbacks;
  decltype(&cuptiActivityRegisterTimestampCallback) registerTimestamp;
  decltype(&cuptiActivityEnable) enable;
  decltype(&cuptiActivityDisable) disable;
  decltype(&cuptiActivityFlushAll) flushAll;
  decltype(&cuptiActivityGetNextRecord) getNextRecord;
  decltype(&cuptiActivityGetNumDroppedRecords) getDropped;
  decltype(&cuptiActivityPushExternalCorrelationId) push;
  decltype(&cuptiActivityPopExternalCorrelationId) pop;
  decltype(&cuptiGetResultString) resultText;
};

uint64_t CUPTIAPI steadyNanoseconds() {
  return static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

class CuptiTrace;
// CUPTI hands buffers to functions without an argument of ours.
std::mutex receiverMutex;
CuptiTrace* receiver = nullptr;

class CuptiTrace final : public ActivityTrace {
 public:
  explicit CuptiTrace(const DynamicLibrary& library) : cupti_(library) {}
  ~CuptiTrace() override;

  /// Empty, or why it cannot trace.
  std::string start();
  void push(uint64_t id) override { cupti_.push(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, id); }
  void pop() override {
    uint64_t last = 0;
    cupti_.pop(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &last);
  }
  std::vector<Activity> take(uint64_t begin, uint64_t end) override;
  int64_t lost() const override { return lost_; }
  std::string name() const override { return "CUPTI " + libraryVersionText(version_); }

  void read(uint8_t* buffer, size_t bytes);

 private:
  void stop() override;
  struct Interval {
    uint32_t correlation = 0;
    int64_t start = 0, end = 0;
  };
  void add(const CUpti_Activity& record);
  void addInterval(uint32_t correlation, uint64_t start, uint64_t end);

  const Cupti cupti_;
  uint32_t version_ = 0;
  std::mutex mutex_;
  std::unordered_map<uint32_t, uint64_t> ids_;  // by correlation
  std::vector<Interval> intervals_;
  int64_t lost_ = 0;
};

void CUPTIAPI request(uint8_t** buffer, size_t* size, size_t* records) {
  *size = kBufferBytes;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *records = 0;
}

void CUPTIAPI complete(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const std::lock_guard lock(receiverMutex);
  if (receiver) receiver->read(buffer, valid);
  std::free(buffer);
}

std::string CuptiTrace::start() {
  cupti_.getVersion(&version_);
  if (version_ < kLeastVersion)
    return fmt::format("CUPTI {} is too old: {} is needed", libraryVersionText(version_),
                       libraryVersionText(kLeastVersion));
  {
    const std::lock_guard lock(receiverMutex);
    receiver = this;
  }
  CUptiResult result = cupti_.registerTimestamp(steadyNanoseconds);
  if (result == CUPTI_SUCCESS) result = cupti_.registerCallbacks(request, complete);
  for (const CUpti_ActivityKind kind : kKinds)
    if (result == CUPTI_SUCCESS) result = cupti_.enable(kind);
  if (result == CUPTI_SUCCESS) return {};
  if (result == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES)
    return "CUPTI may not be used: load the driver with "
           "NVreg_RestrictProfilingToAdminUsers=0, or give the container CAP_SYS_ADMIN";
  if (result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)
    return "CUPTI is taken by another tool (nsys, ncu, cuda-gdb or a profiler)";
  return "CUPTI does not start: " + cupti_.text(result);
}

void CuptiTrace::stop() {
  for (const CUpti_ActivityKind kind : kKinds) cupti_.disable(kind);
}

CuptiTrace::~CuptiTrace() {
  stop();
  cupti_.flushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::lock_guard lock(receiverMutex);
  receiver = nullptr;
}

// No time stamp: CUPTI had no memory left to keep it.
void CuptiTrace::addInterval(uint32_t correlation, uint64_t start, uint64_t end) {
  if (start == 0 || end == 0)
    ++lost_;
  else
    intervals_.push_back({correlation, static_cast<int64_t>(start), static_cast<int64_t>(end)});
}

void CuptiTrace::add(const CUpti_Activity& record) {
  const auto as = [&]<class T>(const T*) { return reinterpret_cast<const T*>(&record); };
  switch (record.kind) {
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      const auto* r = as(static_cast<const CUpti_ActivityExternalCorrelation*>(nullptr));
      ids_[r->correlationId] = r->externalId;
      return;
    }
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      const auto* r = as(static_cast<const CUpti_ActivityKernel10*>(nullptr));
      return addInterval(r->correlationId, r->start, r->end);
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto* r = as(static_cast<const CUpti_ActivityMemcpy6*>(nullptr));
      return addInterval(r->correlationId, r->start, r->end);
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto* r = as(static_cast<const CUpti_ActivityMemset4*>(nullptr));
      return addInterval(r->correlationId, r->start, r->end);
    }
    default:
      return;
  }
}

void CuptiTrace::read(uint8_t* buffer, size_t bytes) {
  const std::lock_guard lock(mutex_);
  CUpti_Activity* record = nullptr;
  while (cupti_.getNextRecord(buffer, bytes, &record) == CUPTI_SUCCESS) add(*record);
  size_t dropped = 0;
  if (cupti_.getDropped(nullptr, 0, &dropped) == CUPTI_SUCCESS)
    lost_ += static_cast<int64_t>(dropped);
}

std::vector<Activity> CuptiTrace::take(uint64_t begin, uint64_t end) {
  cupti_.flushAll(0);
  const std::lock_guard lock(mutex_);
  std::vector<Activity> taken;
  std::vector<Interval> left;
  for (const Interval& i : intervals_) {
    const auto id = ids_.find(i.correlation);
    const bool wanted = id != ids_.end() && id->second >= begin && id->second < end;
    if (wanted)
      taken.push_back({id->second, i.start, i.end});
    else if (id != ids_.end())
      left.push_back(i);
  }
  intervals_ = std::move(left);
  std::erase_if(ids_,
                [&](const auto& entry) { return entry.second >= begin && entry.second < end; });
  return taken;
}

}  // namespace

std::unique_ptr<ActivityTrace> openActivityTrace(std::string& reason) {
  try {
    const DynamicLibrary library(cuptiNames());
    auto trace = std::make_unique<CuptiTrace>(library);
    reason = trace->start();
    if (reason.empty()) return trace;
  } catch (const Error& error) {
    reason = error.problem();
  }
  return nullptr;
}

}  // namespace meshplan
