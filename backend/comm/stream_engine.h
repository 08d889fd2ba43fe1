// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "backend/comm/liveness.h"
#include "backend/comm/peer_link.h"
#include "backend/communicator.h"

namespace meshplan {

/// How ranks over byte streams judge each other, and what they do when they cannot go on.
struct StreamOptions {
  LivenessOptions liveness;
  /// Gets a line about a rank that does not answer; by default it goes to the standard error.
  std::function<void(const std::string&)> report;
  /// When positive: ends the process with the exit code of runtime errors if, so long after a
  /// failure, its rank still computes and has not called anything that could throw it.
  std::chrono::milliseconds exitAfterFailure{0};
  /// Called at the end, once the streams are closed, when nothing has failed.
  std::function<void()> closed;
};

/// Bytes that go to, or come from, a rank of the world.
struct Outbound {
  int rank = 0;
  const void* data = nullptr;
  int64_t bytes = 0;
};
struct Inbound {
  int rank = 0;
  void* data = nullptr;
  int64_t bytes = 0;
};

/// The streams of one process to all other ranks of the world, and what flows over them. Calls
/// move bytes themselves while they wait; between calls a thread does, which also sends heartbeats
/// and judges those of the others (backend/comm/liveness.h). Nothing here blocks on a peer that
/// does not read.
///
/// The first failure is final: it is told to all ranks, and every pending and later call throws it
/// as Error(runtime). A rank fails when its connection breaks before it has said goodbye, or when
/// it stays silent.
class StreamEngine final : private PeerLink::Receiver {
 public:
  StreamEngine(int rank, ByteStreams streams, const StreamOptions& options);
  /// Says goodbye and waits, for a few seconds at most, until every peer has all that was sent.
  ~StreamEngine() override;

  int rank() const { return rank_; }
  int size() const { return int(links_.size()); }

  /// The parts of one collective call: all have left and arrived when it returns. Every part that
  /// arrives must carry the same call and be of the size expected.
  void exchange(uint64_t group, const CommCall& call, std::span<const Outbound> out,
                std::span<const Inbound> in);
  void send(uint64_t group, const Outbound& out);
  void receive(uint64_t group, const Inbound& in);
  void abort(const std::string& reason);
  /// Throws what pending calls would.
  void check();

 private:
  using Lock = std::unique_lock<std::mutex>;
  using ChannelKey = std::tuple<uint64_t, int, FrameHeader::Kind>;  // group, sender, kind
  struct Wanted {
    Inbound in;
    CommCall call;
    bool done = false;
  };
  struct Arrived {
    FrameHeader header;
    std::unique_ptr<std::byte[]> data;
  };
  struct Channel {
    std::deque<Arrived> arrived;
    Wanted* wanted = nullptr;
  };
  struct Waiting {
    CommCall call;
    std::span<const Wanted> wanted;
    const int* pending = nullptr;
    Clock::time_point since;
    bool satisfied() const;
  };

  // PeerLink::Receiver. All below is called with mutex_ held.
  void* place(int rank, const FrameHeader& header) override;
  void arrived(int rank, const FrameHeader& header, std::unique_ptr<std::byte[]> data) override;
  void moved(int rank, bool payload) override;

  void await(Lock& lock, const Waiting& waiting);
  void want(uint64_t group, FrameHeader::Kind kind, Wanted& wanted);
  void store(int rank, const FrameHeader& header, std::unique_ptr<std::byte[]> data);
  bool fits(int rank, const FrameHeader& header, const Wanted& wanted);
  void failOnEnded(const Waiting& waiting);
  void moveBytes();
  void lost(int rank);
  enum class Heard : uint8_t { here, fromPeer };
  void fail(const PeerError& failure, Heard heard = Heard::here);
  void fail(const std::string& what) { fail(PeerError(what, false)); }
  void throwIfFailed();
  void failIfEnded(int rank, const CommCall& call);
  RankStatus status() const;
  void tick();
  void sendHeartbeats();
  void endProcessIfStuck();
  enum Polled { wakeOnly, connectionsOnly, both };
  void pollFor(Lock& lock, Polled polled, std::chrono::milliseconds within);
  void pause(Lock& lock);
  bool flushed() const;

  void wakeThread();
  void run();

  const int rank_;
  const StreamOptions options_;
  std::mutex mutex_;
  std::vector<PeerLink> links_;  // by rank; this rank's is closed
  std::vector<char> ended_, goodbyeHeard_;
  std::map<ChannelKey, Channel> channels_;
  Liveness liveness_;
  std::optional<PeerError> failure_;
  Clock::time_point failedAt_, lastWait_, lastHeartbeat_, lastTick_;
  bool thrown_ = false, leaving_ = false, stop_ = false;
  int waiters_ = 0;
  uint64_t progress_ = 0, pausedAt_ = 0;
  int idlePolls_ = 0;
  std::optional<Waiting> waiting_;
  Fd wake_;
  std::thread thread_;
};

}  // namespace meshplan
