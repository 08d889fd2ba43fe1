// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/in_process.h"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <vector>

#include "backend/comm/call.h"
#include "backend/comm/ordered_reduction.h"
#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

/// A number that only grows; ranks wait until it has passed a value.
struct Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<uint64_t> value{0};
};

struct Message {
  std::unique_ptr<std::byte[]> data;
  int64_t bytes = 0, capacity = 0;
};

/// From one member to another of the same group; `sent` guards the rest.
struct Mailbox {
  Progress sent;
  std::deque<Message> messages;
  Message spare;       // the last one received, to be filled again
  uint64_t taken = 0;  // of the receiver alone
};

struct alignas(64) Slot {
  CommCall call;
  const void* in = nullptr;
  void* out = nullptr;
};

struct Group {
  explicit Group(std::vector<int> ranksOfWorld)
      : ranks(std::move(ranksOfWorld)),
        slots(ranks.size()),
        mailboxes(ranks.size() * ranks.size()) {}

  int size() const { return int(ranks.size()); }
  Mailbox& mailbox(int from, int to) { return mailboxes[size_t(from) * ranks.size() + size_t(to)]; }

  const std::vector<int> ranks;  // of the world, by member
  std::vector<Slot> slots;
  std::vector<Mailbox> mailboxes;
  Progress rounds;  // of the barrier
  int arrived = 0;  // guarded by rounds.mutex
};

/// What a rank sleeps for, in which call.
struct Waiting {
  const Progress* progress = nullptr;
  uint64_t passed = 0;
  CommCall call;
  int peerRank = -1;
};

void pauseBriefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

struct InProcessWorld::State {
  explicit State(int ranks);

  std::unique_ptr<Communicator> open(Group& group, int member);
  Group& splitGroup(const Group& parent, uint64_t number, int colour, std::vector<int> ranks);

  void fail(const std::string& what, bool gaveUp = false);
  void throwIfFailed();
  /// Waits until `progress` has passed a value: true; or false because the world has failed, if
  /// `mayFail`. `lock` holds the mutex of `progress`.
  bool await(int rank, Progress& progress, std::unique_lock<std::mutex>& lock, const Waiting& waits,
             bool mayFail);

  Group world;
  const int spins;
  std::mutex mutex;  // guards all below
  std::map<std::tuple<const Group*, uint64_t, int>, std::unique_ptr<Group>> groups;
  std::vector<std::optional<Waiting>> waiting;  // by rank
  std::vector<int> open_;                       // communicators of each rank; -1: none yet
  std::optional<PeerError> failure;
  std::atomic<bool> failed{false};

 private:
  void spin(const Progress& progress, uint64_t value) const;
  void setWaiting(int rank, std::optional<Waiting> waits);
  std::optional<std::string> deadlock();
};

namespace {

using World = InProcessWorld::State;

class InProcess final : public Communicator {
 public:
  InProcess(World& world, Group& group, int member)
      : world_(world), group_(group), member_(member) {}
  ~InProcess() override {
    const std::lock_guard lock(world_.mutex);
    --world_.open_[size_t(worldRank(member_))];
  }

  int rank() const override { return member_; }
  int size() const override { return group_.size(); }
  int worldRank(int member) const override { return group_.ranks.at(size_t(member)); }

  std::unique_ptr<Communicator> split(int colour) override;
  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override;
  void abort(const std::string& reason) override;

 private:
  template <class Work>
  void collective(const CommCall& call, const void* in, void* out, const Work& work);
  void enter(const CommCall& call);
  void leave(const CommCall& call);
  /// Waits until all members are here; false: the world has failed.
  bool meet(std::unique_lock<std::mutex>& lock, const CommCall& call, bool mayFail);
  void compareCalls();
  bool await(Progress& progress, std::unique_lock<std::mutex>& lock, uint64_t passed,
             const CommCall& call, bool mayFail) {
    const Waiting waits{&progress, passed, call, peerRank(call)};
    return world_.await(worldRank(member_), progress, lock, waits, mayFail);
  }
  int peerRank(const CommCall& call) const { return call.peer < 0 ? -1 : worldRank(call.peer); }
  std::string text(const CommCall& call) const { return callText(call, peerRank(call)); }
  Slot& slot(int member) { return group_.slots[size_t(member)]; }

  World& world_;
  Group& group_;
  const int member_;
  uint64_t splits_ = 0;
};

// A rank that goes away while others read its memory would be a disaster. Therefore a rank may give
// up only before all have arrived, and takes its arrival back; after that nothing fails until all
// have left.
void InProcess::enter(const CommCall& call) {
  std::unique_lock lock(group_.rounds.mutex);
  world_.throwIfFailed();
  if (meet(lock, call, true)) return;
  --group_.arrived;
  world_.throwIfFailed();
}

void InProcess::leave(const CommCall& call) {
  std::unique_lock lock(group_.rounds.mutex);
  meet(lock, call, false);
}

bool InProcess::meet(std::unique_lock<std::mutex>& lock, const CommCall& call, bool mayFail) {
  Progress& rounds = group_.rounds;
  const uint64_t round = rounds.value;
  if (++group_.arrived < size()) return await(rounds, lock, round, call, mayFail);
  group_.arrived = 0;
  rounds.value = round + 1;
  lock.unlock();
  rounds.changed.notify_all();
  return true;
}

void InProcess::compareCalls() {
  for (int m = 1; m < size(); ++m) {
    if (slot(m).call == slot(0).call) continue;
    world_.fail(
        fmt::format("ranks disagree on what they do together: rank {} calls {}, rank {} calls {}",
                    worldRank(0), text(slot(0).call), worldRank(m), text(slot(m).call)));
    return;
  }
}

template <class Work>
void InProcess::collective(const CommCall& call, const void* in, void* out, const Work& work) {
  checkCall(call, size());
  slot(member_) = {call, in, out};
  enter(call);
  bool agreed = true;
  for (int m = 0; m < size(); ++m) agreed = agreed && slot(m).call == call;
  if (agreed)
    work();
  else
    compareCalls();
  leave(call);
  if (!agreed) world_.throwIfFailed();
}

std::unique_ptr<Communicator> InProcess::split(int colour) {
  std::vector<int> members, ranks;
  int position = 0;
  const CommCall call{.op = CommOp::split};
  collective(call, &colour, nullptr, [&] {
    for (int m = 0; m < size(); ++m) {
      if (*static_cast<const int*>(slot(m).in) != colour) continue;
      if (m == member_) position = int(ranks.size());
      ranks.push_back(worldRank(m));
    }
  });
  Group& group = world_.splitGroup(group_, splits_++, colour, std::move(ranks));
  return world_.open(group, position);
}

void InProcess::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  const CommCall call{op == ReduceOp::sum ? CommOp::sumAll : CommOp::maxAll, type, -1, count};
  const int64_t size_ = dtypeBytes(type);
  collective(call, data, data, [&] {
    const Share share = shareOf(count, member_, size());
    std::vector<const void*> parts(static_cast<size_t>(size()));
    std::vector<void*> outputs(parts.size());
    for (int m = 0; m < size(); ++m) {
      outputs[size_t(m)] = static_cast<std::byte*>(slot(m).out) + share.begin * size_;
      parts[size_t(m)] = outputs[size_t(m)];
    }
    reduceInOrder(parts, outputs, share.count, type, op);
  });
}

void InProcess::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  collective({CommOp::reduceScatter, type, -1, count}, in, out, [&] {
    std::vector<const void*> parts;
    for (int m = 0; m < size(); ++m)
      parts.push_back(static_cast<const std::byte*>(slot(m).in) +
                      member_ * count * dtypeBytes(type));
    reduceInOrder(parts, std::span(&out, 1), count, type, ReduceOp::sum);
  });
}

void InProcess::allGather(const void* in, void* out, int64_t bytes) {
  collective({CommOp::allGather, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size(); ++m) {
      std::byte* part = static_cast<std::byte*>(out) + m * bytes;
      if (bytes > 0 && part != slot(m).in) std::memcpy(part, slot(m).in, size_t(bytes));
    }
  });
}

void InProcess::allToAll(const void* in, void* out, int64_t bytes) {
  collective({CommOp::allToAll, DType::u8, -1, bytes}, in, out, [&] {
    for (int m = 0; m < size() && bytes > 0; ++m)
      std::memcpy(static_cast<std::byte*>(out) + m * bytes,
                  static_cast<const std::byte*>(slot(m).in) + member_ * bytes, size_t(bytes));
  });
}

void InProcess::broadcast(void* data, int64_t bytes, int root) {
  collective({CommOp::broadcast, DType::u8, root, bytes}, data, data, [&] {
    if (member_ != root && bytes > 0) std::memcpy(data, slot(root).in, size_t(bytes));
  });
}

void InProcess::barrier() {
  collective({.op = CommOp::barrier}, nullptr, nullptr, [] {});
}

Message filled(Message message, const void* data, int64_t bytes) {
  if (message.capacity < bytes)
    message = {std::make_unique_for_overwrite<std::byte[]>(size_t(bytes)), bytes, bytes};
  message.bytes = bytes;
  if (bytes > 0) std::memcpy(message.data.get(), data, size_t(bytes));
  return message;
}

void InProcess::send(const void* data, int64_t bytes, int to) {
  checkCall({CommOp::send, DType::u8, to, bytes}, size());
  world_.throwIfFailed();
  Mailbox& box = group_.mailbox(member_, to);
  Message spare;
  {
    const std::lock_guard lock(box.sent.mutex);
    std::swap(spare, box.spare);
  }
  Message message = filled(std::move(spare), data, bytes);
  {
    const std::lock_guard lock(box.sent.mutex);
    box.messages.push_back(std::move(message));
    ++box.sent.value;
  }
  box.sent.changed.notify_all();
}

void InProcess::receive(void* data, int64_t bytes, int from) {
  const CommCall call{CommOp::receive, DType::u8, from, bytes};
  checkCall(call, size());
  Mailbox& box = group_.mailbox(from, member_);
  Message message;
  {
    std::unique_lock lock(box.sent.mutex);
    if (box.messages.empty() && !await(box.sent, lock, box.taken, call, true))
      world_.throwIfFailed();
    message = std::move(box.messages.front());
    box.messages.pop_front();
    ++box.taken;
  }
  if (message.bytes != bytes) {
    world_.fail(fmt::format("rank {} waits in {}, but {} bytes were sent", worldRank(member_),
                            text(call), message.bytes));
    world_.throwIfFailed();
  }
  if (bytes > 0) std::memcpy(data, message.data.get(), size_t(bytes));
  const std::lock_guard lock(box.sent.mutex);
  if (message.capacity > box.spare.capacity) box.spare = std::move(message);
}

void InProcess::abort(const std::string& reason) {
  world_.fail(fmt::format("rank {} gave up: {}", worldRank(member_), reason), true);
}

std::vector<int> firstIntegers(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

}  // namespace

// Spinning only helps while the rank that is waited for runs on another core.
World::State(int ranks)
    : world(firstIntegers(ranks)),
      spins(ranks <= int(std::thread::hardware_concurrency()) ? 200 : 0),
      waiting(size_t(ranks)),
      open_(size_t(ranks), -1) {}

std::unique_ptr<Communicator> World::open(Group& group, int member) {
  const std::lock_guard lock(mutex);
  int& count = open_[size_t(group.ranks[size_t(member)])];
  count = std::max(count, 0) + 1;
  return std::make_unique<InProcess>(*this, group, member);
}

Group& World::splitGroup(const Group& parent, uint64_t number, int colour, std::vector<int> ranks) {
  const std::lock_guard lock(mutex);
  std::unique_ptr<Group>& group = groups[{&parent, number, colour}];
  if (!group) group = std::make_unique<Group>(std::move(ranks));
  return *group;
}

void World::fail(const std::string& what, bool gaveUp) {
  const std::lock_guard lock(mutex);
  if (failed) return;
  failure.emplace(what, gaveUp);
  failed = true;
}

void World::throwIfFailed() {
  if (!failed) return;
  const std::lock_guard lock(mutex);
  throw *failure;
}

void World::spin(const Progress& progress, uint64_t value) const {
  for (int i = 0; i < spins && progress.value == value && !failed; ++i) pauseBriefly();
}

// Ranks that wait are all registered under one lock, and what they wait for is only changed by
// ranks that are not: if every rank is registered and none has what it waits for, none ever will.
std::optional<std::string> World::deadlock() {
  const std::lock_guard lock(mutex);
  std::string text;
  for (size_t r = 0; r < waiting.size(); ++r) {
    if (open_[r] == 0) {
      text += fmt::format("{}rank {} has ended", text.empty() ? "" : "; ", r);
      continue;
    }
    if (!waiting[r] || waiting[r]->progress->value != waiting[r]->passed) return std::nullopt;
    text += fmt::format("{}rank {} waits in {}", text.empty() ? "" : "; ", r,
                        callText(waiting[r]->call, waiting[r]->peerRank));
  }
  return "no rank can go on: " + text;
}

void World::setWaiting(int rank, std::optional<Waiting> waits) {
  const std::lock_guard lock(mutex);
  waiting[size_t(rank)] = waits;
}

bool World::await(int rank, Progress& progress, std::unique_lock<std::mutex>& lock,
                  const Waiting& waits, bool mayFail) {
  lock.unlock();
  spin(progress, waits.passed);
  lock.lock();
  if (progress.value != waits.passed) return true;
  setWaiting(rank, waits);
  while (progress.value == waits.passed && !(mayFail && failed)) {
    if (progress.changed.wait_for(lock, 20ms) != std::cv_status::timeout || !mayFail) continue;
    if (const auto found = deadlock()) fail(*found);
  }
  setWaiting(rank, std::nullopt);
  return progress.value != waits.passed;
}

InProcessWorld::InProcessWorld(int ranks) {
  if (ranks < 1)
    throw Error(ErrorKind::usage, fmt::format("{} ranks", ranks), "start at least one rank");
  state_ = std::make_unique<State>(ranks);
}

InProcessWorld::~InProcessWorld() = default;

int InProcessWorld::size() const {
  return state_->world.size();
}

std::unique_ptr<Communicator> InProcessWorld::connect(int rank) {
  return state_->open(state_->world, rank);
}

void runInProcess(int ranks, const std::function<void(Communicator&)>& body) {
  InProcessWorld world(ranks);
  std::exception_ptr first;
  std::once_flag once;
  const auto runRank = [&](int rank) {
    const auto communicator = world.connect(rank);
    const auto failed = [&](const char* what) {
      std::call_once(once, [&] { first = std::current_exception(); });
      communicator->abort(what);
    };
    try {
      body(*communicator);
    } catch (const std::exception& e) {
      failed(e.what());
    } catch (...) {
      failed("unknown exception");
    }
  };
  std::vector<std::thread> threads;
  for (int r = 1; r < ranks; ++r) threads.emplace_back(runRank, r);
  runRank(0);
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace meshplan
