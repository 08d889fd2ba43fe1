// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "backend/comm/wire.h"

namespace meshplan {

struct LivenessOptions {
  std::chrono::milliseconds heartbeat{500};
  /// A rank that has been silent for so long is reported, when this rank waits.
  std::chrono::milliseconds reportAfter{5000};
  /// A rank that stays silent for so long after the report has failed.
  std::chrono::milliseconds failAfter{30000};
  /// All ranks alive, all waiting, nothing moving for so long: nobody will ever go on.
  std::chrono::milliseconds deadlockAfter{5000};
};

/// What one rank knows about whether the others still work, from when it last heard something of
/// each and from the RankStatus in their heartbeats. Reads no clock: all times are given. A gap in
/// the calls of `tick` means that this process itself stood still; silence during it does not count
/// against the others.
class Liveness {
 public:
  Liveness(int rank, int size, const LivenessOptions& options, Clock::time_point now);

  void heard(int rank, Clock::time_point now) { peers_[size_t(rank)].heard = now; }
  void heard(int rank, const RankStatus& status, Clock::time_point now);
  void ended(int rank) { peers_[size_t(rank)].ended = true; }

  struct Verdict {
    std::vector<std::string> reports;    // lines for the user
    std::optional<std::string> failure;  // why the ranks cannot go on
  };
  /// `mine.waiting` since `waitingSince`. To be called a few times per second.
  Verdict tick(const RankStatus& mine, Clock::time_point waitingSince, Clock::time_point now);

 private:
  struct Peer {
    Clock::time_point heard, changed;
    std::optional<Clock::time_point> reported;
    RankStatus status;
    bool ended = false;
  };
  void update(int rank, const RankStatus& status, Clock::time_point now);
  void judgeSilence(int rank, const RankStatus& mine, Clock::time_point waitingSince,
                    Clock::time_point now, Verdict& verdict);
  std::optional<std::string> deadlock(Clock::time_point now) const;

  const int rank_;
  const LivenessOptions options_;
  std::vector<Peer> peers_;  // this rank included
  Clock::time_point lastTick_;
};

}  // namespace meshplan
