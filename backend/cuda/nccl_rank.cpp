// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/nccl_rank.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Ends the process unless it goes before its time is over.
class Backstop {
 public:
  Backstop(std::chrono::milliseconds within, int rank)
      : thread_([this, within, rank] { wait(within, rank); }) {}
  ~Backstop() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void wait(std::chrono::milliseconds within, int rank) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, within, [this] { return over_; })) return;
    fmt::print(stderr, "error: ncclCommAbort of rank {} hangs, and the process is ended\n", rank);
    std::fflush(nullptr);
    _exit(exitCode(ErrorKind::runtime));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

NcclRank::NcclRank(const Nccl& nccl, CudaContext& context, Communicator& hosts,
                   std::chrono::milliseconds abortWithin)
    : nccl_(nccl), context_(context), hosts_(hosts), abortWithin_(abortWithin) {
  context_.pollWith([this] { poll(); });
}

NcclRank::~NcclRank() {
  context_.pollWith({});
  abortAll();
}

void NcclRank::check(ncclComm_t comm, ncclResult_t status, const char* call) const {
  if (status == ncclSuccess) return;
  const std::string_view last = nccl_.getLastError(comm);
  throw Error(
      ErrorKind::runtime,
      fmt::format("{} failed on GPU {} of rank {}: {}{}{}", call, context_.index(), context_.rank(),
                  nccl_.getErrorString(status), last.empty() ? "" : "; ", last),
      "NCCL_DEBUG=INFO makes NCCL say more");
}

void NcclRank::throwIfFailed() const {
  hosts_.throwIfFailed();
  if (!aborted_.empty())
    throw PeerError(fmt::format("rank {} gave up: {}", context_.rank(), aborted_), true);
}

// Calls may be in progress because another rank has not made its own yet, and never will.
void NcclRank::settle(ncclComm_t comm, ncclResult_t status, const char* call) {
  for (int round = 0; status == ncclInProgress; ++round) {
    throwIfFailed();
    if (round < 100)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(50us);
    check(comm, nccl_.commGetAsyncError(comm, &status), "ncclCommGetAsyncError");
  }
  check(comm, status, call);
}

ncclComm_t NcclRank::start(const char* call, ncclComm_t parent,
                           const std::function<ncclResult_t(ncclComm_t*)>& begin) {
  throwIfFailed();
  ncclComm_t comm = nullptr;
  ncclResult_t status = begin(&comm);
  try {
    if (parent) {
      settle(parent, status, call);
      status = ncclInProgress;  // that was the parent's
    }
    if (comm)
      settle(comm, status, call);
    else if (!parent)
      check(nullptr, status, call);
  } catch (...) {
    if (comm) comms_.push_back(comm);
    throw;
  }
  if (comm) comms_.push_back(comm);
  return comm;
}

void NcclRank::forget(ncclComm_t comm) {
  comms_.erase(std::remove(comms_.begin(), comms_.end(), comm), comms_.end());
}

void NcclRank::end(ncclComm_t comm) {
  if (std::find(comms_.begin(), comms_.end(), comm) == comms_.end()) return;
  try {
    if (std::uncaught_exceptions() > 0) return abortAll();
    settle(comm, nccl_.commFinalize(comm), "ncclCommFinalize");
    forget(comm);
    nccl_.commDestroy(comm);
  } catch (const Error&) {
    abortAll();  // there is nobody left to tell
  }
}

// As cheap as one look at the clock, most of the time: it is called between looks at streams.
void NcclRank::poll() {
  const Clock::time_point now = Clock::now();
  if (now - polled_ < 1ms) return;
  polled_ = now;
  throwIfFailed();
  for (ncclComm_t comm : comms_) {
    ncclResult_t state = ncclSuccess;
    check(comm, nccl_.commGetAsyncError(comm, &state), "ncclCommGetAsyncError");
    if (state != ncclInProgress) check(comm, state, "communication");
  }
}

void NcclRank::abort(const std::string& reason) {
  hosts_.abort(reason);
  if (aborted_.empty()) aborted_ = reason;
  abortAll();
}

void NcclRank::abortAll() {
  if (comms_.empty()) return;
  if (aborted_.empty()) aborted_ = "its communicators were ended";
  const Backstop backstop(abortWithin_, context_.rank());
  while (!comms_.empty()) {
    const ncclComm_t comm = comms_.back();
    comms_.pop_back();
    nccl_.commAbort(comm);
  }
}

}  // namespace meshplan
