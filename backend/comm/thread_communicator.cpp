// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/thread_communicator.h"

#include <fmt/core.h>

#include <chrono>
#include <exception>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

void pauseBriefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

std::vector<int> firstIntegers(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

int checkedRanks(int ranks) {
  if (ranks < 1)
    throw Error(ErrorKind::usage, fmt::format("{} ranks", ranks), "start at least one rank");
  return ranks;
}

}  // namespace

// Spinning only helps while the rank that is waited for runs on another core.
ThreadWorld::ThreadWorld(int ranks)
    : all_(firstIntegers(checkedRanks(ranks))),
      spins_(ranks <= int(std::thread::hardware_concurrency()) ? 200 : 0),
      waiting_(size_t(ranks)),
      open_(size_t(ranks), -1) {}

ThreadGroup& ThreadWorld::splitGroup(const ThreadGroup& parent, uint64_t number, int colour,
                                     std::vector<int> ranks) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<ThreadGroup>& group = groups_[{&parent, number, colour}];
  if (!group) group = std::make_unique<ThreadGroup>(std::move(ranks));
  return *group;
}

void ThreadWorld::opened(int rank) {
  const std::lock_guard lock(mutex_);
  int& count = open_[size_t(rank)];
  count = std::max(count, 0) + 1;
}

void ThreadWorld::closed(int rank) {
  const std::lock_guard lock(mutex_);
  --open_[size_t(rank)];
}

void ThreadWorld::fail(const std::string& what, bool gaveUp) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  failure_.emplace(what, gaveUp);
  failed_ = true;
}

void ThreadWorld::throwIfFailed() {
  if (!failed_) return;
  const std::lock_guard lock(mutex_);
  throw *failure_;
}

void ThreadWorld::spin(const Progress& progress, uint64_t value) const {
  for (int i = 0; i < spins_ && progress.value == value && !failed_; ++i) pauseBriefly();
}

// Ranks that wait are all registered under one lock, and what they wait for is only changed by
// ranks that are not: if every rank is registered and none has what it waits for, none ever will.
std::optional<std::string> ThreadWorld::deadlock() {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (size_t r = 0; r < waiting_.size(); ++r) {
    if (open_[r] == 0) {
      text += fmt::format("{}rank {} has ended", text.empty() ? "" : "; ", r);
      continue;
    }
    if (!waiting_[r] || waiting_[r]->progress->value != waiting_[r]->passed) return std::nullopt;
    text += fmt::format("{}rank {} waits in {}", text.empty() ? "" : "; ", r,
                        callText(waiting_[r]->call, waiting_[r]->peerRank));
  }
  return "no rank can go on: " + text;
}

void ThreadWorld::setWaiting(int rank, std::optional<Waiting> waits) {
  const std::lock_guard lock(mutex_);
  waiting_[size_t(rank)] = waits;
}

bool ThreadWorld::await(int rank, Progress& progress, std::unique_lock<std::mutex>& lock,
                        const Waiting& waits, bool mayFail) {
  lock.unlock();
  spin(progress, waits.passed);
  lock.lock();
  if (progress.value != waits.passed) return true;
  setWaiting(rank, waits);
  while (progress.value == waits.passed && !(mayFail && failed_)) {
    if (progress.changed.wait_for(lock, 20ms) != std::cv_status::timeout || !mayFail) continue;
    if (const auto found = deadlock()) fail(*found);
  }
  setWaiting(rank, std::nullopt);
  return progress.value != waits.passed;
}

// A rank that goes away while others read its memory would be a disaster. Therefore a rank may give
// up only before all have arrived, and takes its arrival back; after that nothing fails until all
// have left.
void ThreadCommunicator::enter(const ThreadGroup::Slot& mine) {
  checkCall(mine.call, size());
  group_.slots[size_t(member_)] = mine;
  std::unique_lock lock(group_.rounds.mutex);
  world_.throwIfFailed();
  if (meet(lock, mine.call, true)) return;
  --group_.arrived;
  world_.throwIfFailed();
}

bool ThreadCommunicator::agree(const CommCall& call) const {
  for (const ThreadGroup::Slot& other : group_.slots)
    if (!(other.call == call)) return false;
  return true;
}

void ThreadCommunicator::leave(const CommCall& call, bool agreed) {
  if (!agreed) compareCalls();
  {
    std::unique_lock lock(group_.rounds.mutex);
    meet(lock, call, false);
  }
  if (!agreed) world_.throwIfFailed();
}

bool ThreadCommunicator::meet(std::unique_lock<std::mutex>& lock, const CommCall& call,
                              bool mayFail) {
  Progress& rounds = group_.rounds;
  const uint64_t round = rounds.value;
  if (++group_.arrived < size()) return await(rounds, lock, round, call, mayFail);
  group_.arrived = 0;
  rounds.value = round + 1;
  lock.unlock();
  rounds.changed.notify_all();
  return true;
}

void ThreadCommunicator::compareCalls() {
  for (int m = 1; m < size(); ++m) {
    if (slot(m).call == slot(0).call) continue;
    world_.fail(
        fmt::format("ranks disagree on what they do together: rank {} calls {}, rank {} calls {}",
                    worldRank(0), text(slot(0).call), worldRank(m), text(slot(m).call)));
    return;
  }
}

std::unique_ptr<Communicator> ThreadCommunicator::split(int colour) {
  std::vector<int> ranks;
  int position = 0;
  meetFor({.op = CommOp::split}, &colour, nullptr, [&] {
    for (int m = 0; m < size(); ++m) {
      if (*static_cast<const int*>(slot(m).in) != colour) continue;
      if (m == member_) position = int(ranks.size());
      ranks.push_back(worldRank(m));
    }
  });
  return open(world_.splitGroup(group_, splits_++, colour, std::move(ranks)), position);
}

std::unique_ptr<ThreadMessage> ThreadCommunicator::spareFor(int64_t bytes, int to) {
  checkCall({CommOp::send, DType::u8, to, bytes}, size());
  world_.throwIfFailed();
  Mailbox& box = group_.mailbox(member_, to);
  const std::lock_guard lock(box.sent.mutex);
  if (box.spares.empty()) return nullptr;
  auto message = std::move(box.spares.back());
  box.spares.pop_back();
  return message;
}

void ThreadCommunicator::post(int to, std::unique_ptr<ThreadMessage> message) {
  Mailbox& box = group_.mailbox(member_, to);
  {
    const std::lock_guard lock(box.sent.mutex);
    box.messages.push_back(std::move(message));
    ++box.sent.value;
  }
  box.sent.changed.notify_all();
}

std::unique_ptr<ThreadMessage> ThreadCommunicator::take(int from, int64_t bytes) {
  const CommCall call{CommOp::receive, DType::u8, from, bytes};
  checkCall(call, size());
  Mailbox& box = group_.mailbox(from, member_);
  std::unique_ptr<ThreadMessage> message;
  {
    std::unique_lock lock(box.sent.mutex);
    if (box.messages.empty() && !await(box.sent, lock, box.taken, call, true))
      world_.throwIfFailed();
    message = std::move(box.messages.front());
    box.messages.pop_front();
    ++box.taken;
  }
  if (message->bytes == bytes) return message;
  world_.fail(fmt::format("rank {} waits in {}, but {} bytes were sent", worldRank(member_),
                          text(call), message->bytes));
  giveBack(from, std::move(message));
  world_.throwIfFailed();
  return nullptr;
}

void ThreadCommunicator::giveBack(int from, std::unique_ptr<ThreadMessage> message) {
  Mailbox& box = group_.mailbox(from, member_);
  const std::lock_guard lock(box.sent.mutex);
  box.spares.push_back(std::move(message));
}

void ThreadCommunicator::abort(const std::string& reason) {
  world_.fail(fmt::format("rank {} gave up: {}", worldRank(member_), reason), true);
}

void runThreads(int ranks, const std::function<std::unique_ptr<Communicator>(int)>& connect,
                const std::function<void(Communicator&)>& body) {
  std::exception_ptr first, own;  // `own`: not what another rank's giving up made of it
  std::mutex mutex;
  const auto runRank = [&](int rank) {
    const auto communicator = connect(rank);
    const auto failed = [&](const char* what, bool byOther) {
      {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
        if (!own && !byOther) own = std::current_exception();
      }
      communicator->abort(what);
    };
    try {
      body(*communicator);
    } catch (const PeerError& e) {
      failed(e.what(), e.gaveUp());
    } catch (const std::exception& e) {
      failed(e.what(), false);
    } catch (...) {
      failed("unknown exception", false);
    }
  };
  std::vector<std::thread> threads;
  for (int r = 1; r < ranks; ++r) threads.emplace_back(runRank, r);
  runRank(0);
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(own ? own : first);
}

}  // namespace meshplan
