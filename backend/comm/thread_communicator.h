// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "backend/comm/call.h"
#include "backend/communicator.h"

namespace meshplan {

/// What a communicator of threads sends, wherever its bytes lie.
struct ThreadMessage {
  virtual ~ThreadMessage() = default;
  int64_t bytes = 0;
};

/// A number that only grows; ranks wait until it has passed a value.
struct Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<uint64_t> value{0};
};

/// From one member to another of the same group; `sent` guards the rest.
struct Mailbox {
  Progress sent;
  std::deque<std::unique_ptr<ThreadMessage>> messages;
  std::vector<std::unique_ptr<ThreadMessage>> spares;  // that were received, to be filled again
  uint64_t taken = 0;                                  // of the receiver alone
};

/// Ranks of a ThreadWorld that do things together.
struct ThreadGroup {
  struct alignas(64) Slot {
    CommCall call;
    const void* in = nullptr;
    void* out = nullptr;
    const void* own = nullptr;  // what else the others need of this member
  };

  explicit ThreadGroup(std::vector<int> ranksOfWorld)
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

/// Ranks that are threads of one process: who waits for what, which of them have ended, and whether
/// one has failed and so all have. When no rank can ever go on, because every one waits for another
/// or has ended, all waiting ranks get a PeerError that says who waits for what.
class ThreadWorld {
 public:
  explicit ThreadWorld(int ranks);

  /// What a rank sleeps for, in which call.
  struct Waiting {
    const Progress* progress = nullptr;
    uint64_t passed = 0;
    CommCall call;
    int peerRank = -1;
  };

  ThreadGroup& all() { return all_; }
  ThreadGroup& splitGroup(const ThreadGroup& parent, uint64_t number, int colour,
                          std::vector<int> ranks);
  /// A communicator of the rank begins or ends; a rank whose last one has ended has ended itself.
  void opened(int rank);
  void closed(int rank);

  void fail(const std::string& what, bool gaveUp = false);
  void throwIfFailed();
  /// Waits until `progress` has passed a value: true; or false because the world has failed, if
  /// `mayFail`. `lock` holds the mutex of `progress`.
  bool await(int rank, Progress& progress, std::unique_lock<std::mutex>& lock, const Waiting& waits,
             bool mayFail);

 private:
  void spin(const Progress& progress, uint64_t value) const;
  void setWaiting(int rank, std::optional<Waiting> waits);
  std::optional<std::string> deadlock();

  ThreadGroup all_;
  const int spins_;
  std::mutex mutex_;  // guards all below
  std::map<std::tuple<const ThreadGroup*, uint64_t, int>, std::unique_ptr<ThreadGroup>> groups_;
  std::vector<std::optional<Waiting>> waiting_;  // by rank
  std::vector<int> open_;                        // communicators of each rank; -1: none yet
  std::optional<PeerError> failure_;
  std::atomic<bool> failed_{false};
};

/// One rank's end of a group of threads without what moves the data: it meets the others, compares
/// their calls, and passes messages on. Ranks that call different operations, or the same one with
/// other sizes, all get a PeerError that names both calls.
class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(ThreadWorld& world, ThreadGroup& group, int member)
      : world_(world), group_(group), member_(member) {
    world_.opened(worldRank(member_));
  }
  ~ThreadCommunicator() override { world_.closed(worldRank(member_)); }

  int rank() const final { return member_; }
  int size() const final { return group_.size(); }
  int worldRank(int member) const final { return group_.ranks.at(size_t(member)); }
  std::unique_ptr<Communicator> split(int colour) final;
  void throwIfFailed() final { world_.throwIfFailed(); }
  void abort(const std::string& reason) final;

 protected:
  /// This rank's end of another group, of the same kind.
  virtual std::unique_ptr<Communicator> open(ThreadGroup& group, int member) = 0;

  /// Calls `work` once all members have called this and agree on `call`, and returns when all have
  /// done theirs: in between nobody's memory goes away. `work` must not throw.
  template <class Work>
  void meetFor(const CommCall& call, const void* in, void* out, const Work& work,
               const void* own = nullptr) {
    enter({call, in, out, own});
    const bool agreed = agree(call);
    if (agreed) work();
    leave(call, agreed);
  }
  const ThreadGroup::Slot& slot(int member) const { return group_.slots[size_t(member)]; }

  /// One that this rank sent to `to` and that was received, to be filled again, or null. Throws
  /// when this cannot be sent.
  std::unique_ptr<ThreadMessage> spareFor(int64_t bytes, int to);
  void post(int to, std::unique_ptr<ThreadMessage> message);
  /// Waits for the next message of `from`, which must be of `bytes`.
  std::unique_ptr<ThreadMessage> take(int from, int64_t bytes);
  void giveBack(int from, std::unique_ptr<ThreadMessage> message);

 private:
  void enter(const ThreadGroup::Slot& mine);
  bool agree(const CommCall& call) const;
  void leave(const CommCall& call, bool agreed);
  /// Waits until all members are here; false: the world has failed.
  bool meet(std::unique_lock<std::mutex>& lock, const CommCall& call, bool mayFail);
  void compareCalls();
  bool await(Progress& progress, std::unique_lock<std::mutex>& lock, uint64_t passed,
             const CommCall& call, bool mayFail) {
    const ThreadWorld::Waiting waits{&progress, passed, call, peerRank(call)};
    return world_.await(worldRank(member_), progress, lock, waits, mayFail);
  }
  int peerRank(const CommCall& call) const { return call.peer < 0 ? -1 : worldRank(call.peer); }
  std::string text(const CommCall& call) const { return callText(call, peerRank(call)); }

  ThreadWorld& world_;
  ThreadGroup& group_;
  const int member_;
  uint64_t splits_ = 0;
};

/// Runs `body` for every rank below `ranks`, each on a thread of its own with what `connect` gives
/// it there, until all have returned. A rank that throws aborts the others; what the first one
/// threw is thrown again here, rather than what its giving up made others throw.
void runThreads(int ranks, const std::function<std::unique_ptr<Communicator>(int)>& connect,
                const std::function<void(Communicator&)>& body);

}  // namespace meshplan
