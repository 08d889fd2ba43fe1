// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/liveness.h"

#include <fmt/core.h>

namespace meshplan {
namespace {

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

Liveness::Liveness(int rank, int size, const LivenessOptions& options, Clock::time_point now)
    : rank_(rank), options_(options), peers_(size_t(size)), lastTick_(now) {
  for (Peer& peer : peers_) peer.heard = peer.changed = now;
}

void Liveness::update(int rank, const RankStatus& status, Clock::time_point now) {
  Peer& peer = peers_[size_t(rank)];
  if (!status.waiting || !peer.status.waiting || status.progress != peer.status.progress)
    peer.changed = now;
  peer.status = status;
}

void Liveness::heard(int rank, const RankStatus& status, Clock::time_point now) {
  heard(rank, now);
  update(rank, status, now);
}

void Liveness::judgeSilence(int rank, const RankStatus& mine, Clock::time_point waitingSince,
                            Clock::time_point now, Verdict& verdict) {
  Peer& peer = peers_[size_t(rank)];
  const auto silence = now - peer.heard;
  if (silence < options_.reportAfter) {
    if (peer.reported)
      verdict.reports.push_back(fmt::format("rank {}: rank {} answers again", rank_, rank));
    peer.reported.reset();
  } else if (!peer.reported && mine.waiting) {
    peer.reported = now;
    verdict.reports.push_back(fmt::format(
        "rank {}: straggler: rank {} has not answered for {:.1f} s; rank {} waits in {} for {:.1f} "
        "s and gives up in {:.0f} s",
        rank_, rank, seconds(silence), rank_, callText(mine.call, mine.call.peer),
        seconds(now - waitingSince), seconds(options_.failAfter)));
  } else if (peer.reported && now - *peer.reported >= options_.failAfter) {
    verdict.failure = fmt::format("rank {} has not answered for {:.1f} s", rank, seconds(silence));
  }
}

std::optional<std::string> Liveness::deadlock(Clock::time_point now) const {
  std::string text;
  for (size_t r = 0; r < peers_.size(); ++r) {
    const Peer& peer = peers_[r];
    const char* separator = text.empty() ? "" : "; ";
    if (peer.ended) {
      text += fmt::format("{}rank {} has ended", separator, r);
      continue;
    }
    const bool fresh = now - peer.heard < 3 * options_.heartbeat;
    if (!fresh || !peer.status.waiting || now - peer.changed < options_.deadlockAfter)
      return std::nullopt;
    text += fmt::format("{}rank {} waits in {}", separator, r,
                        callText(peer.status.call, peer.status.call.peer));
  }
  return "no rank can go on: " + text;
}

Liveness::Verdict Liveness::tick(const RankStatus& mine, Clock::time_point waitingSince,
                                 Clock::time_point now) {
  if (now - lastTick_ > options_.reportAfter / 4)
    for (Peer& peer : peers_) peer.heard = peer.changed = now;
  lastTick_ = now;
  heard(rank_, mine, now);
  Verdict verdict;
  for (int r = 0; r < int(peers_.size()); ++r)
    if (r != rank_ && !peers_[size_t(r)].ended) judgeSilence(r, mine, waitingSince, now, verdict);
  if (!verdict.failure && mine.waiting) verdict.failure = deadlock(now);
  return verdict;
}

}  // namespace meshplan
