// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/stream_engine.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 100ms;
// How often streams without a file are asked: at once for a while, then after pauses.
constexpr int kBusyPolls = 500;
constexpr auto kPause = 50us;
constexpr auto kThreadPause = 2ms;
// So long after a call the thread leaves the connections to the next call.
constexpr auto kCallsFollow = 2ms;
constexpr auto kFlushTime = 5s;
constexpr auto kFlushTimeAfterFailure = 1s;
constexpr auto kTearDownTime = 10s;

std::string callText(const CommCall& call) {
  return meshplan::callText(call, call.peer);
}

void copyBytes(void* to, const void* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, size_t(bytes));
}

}  // namespace

StreamEngine::StreamEngine(int rank, ByteStreams streams, const StreamOptions& options)
    : rank_(rank),
      options_(options),
      ended_(streams.size()),
      goodbyeHeard_(streams.size()),
      liveness_(rank, int(streams.size()), options.liveness, Clock::now()),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  for (size_t r = 0; r < streams.size(); ++r) links_.emplace_back(int(r), std::move(streams[r]));
  thread_ = std::thread([this] { run(); });
}

StreamEngine::~StreamEngine() {
  {
    Lock lock(mutex_);
    leaving_ = true;
    for (PeerLink& link : links_)
      if (link.open()) link.sendCopy({.kind = FrameHeader::goodbye}, nullptr);
    const auto until = Clock::now() + (failure_ ? kFlushTimeAfterFailure : kFlushTime);
    for (moveBytes(); !flushed() && Clock::now() < until; moveBytes())
      pollFor(lock, connectionsOnly, 50ms);
    stop_ = true;
  }
  wakeThread();
  thread_.join();
  links_.clear();
  if (!failure_ && options_.closed) options_.closed();
}

bool StreamEngine::flushed() const {
  for (size_t r = 0; r < links_.size(); ++r)
    if (links_[r].hasToWrite() || (links_[r].open() && !goodbyeHeard_[r] && !ended_[r]))
      return false;
  return true;
}

bool StreamEngine::Waiting::satisfied() const {
  return *pending == 0 &&
         std::all_of(wanted.begin(), wanted.end(), [](const Wanted& w) { return w.done; });
}

void StreamEngine::exchange(uint64_t group, const CommCall& call, std::span<const Outbound> out,
                            std::span<const Inbound> in) {
  Lock lock(mutex_);
  throwIfFailed();
  for (const Outbound& o : out) failIfEnded(o.rank, call);
  throwIfFailed();
  int pending = int(out.size());
  std::vector<Wanted> wanted;
  for (const Inbound& i : in) wanted.push_back({i, call});
  for (const Outbound& o : out)
    links_[size_t(o.rank)].send(
        {.kind = FrameHeader::part, .group = group, .bytes = uint64_t(o.bytes), .call = call},
        o.data, &pending);
  for (Wanted& w : wanted) want(group, FrameHeader::part, w);
  await(lock, {call, wanted, &pending, Clock::now()});
}

void StreamEngine::send(uint64_t group, const Outbound& out) {
  Lock lock(mutex_);
  throwIfFailed();
  const FrameHeader header{.kind = FrameHeader::message,
                           .group = group,
                           .bytes = uint64_t(out.bytes),
                           .call = {CommOp::send, DType::u8, out.rank, out.bytes}};
  if (out.rank == rank_) {
    auto copy = std::make_unique_for_overwrite<std::byte[]>(size_t(out.bytes));
    copyBytes(copy.get(), out.data, out.bytes);
    return store(rank_, header, std::move(copy));
  }
  PeerLink& link = links_[size_t(out.rank)];
  failIfEnded(out.rank, header.call);
  throwIfFailed();
  int pending = 1;
  link.send(header, out.data, &pending);
  if (!link.write()) lost(out.rank);
  if (pending > 0 && link.open()) link.keepLast();
  if (link.hasToWrite()) wakeThread();
  ++progress_;
}

void StreamEngine::receive(uint64_t group, const Inbound& in) {
  Lock lock(mutex_);
  throwIfFailed();
  const CommCall call{CommOp::receive, DType::u8, in.rank, in.bytes};
  Wanted wanted{in, call};
  const int pending = 0;
  want(group, FrameHeader::message, wanted);
  await(lock, {call, std::span(&wanted, 1), &pending, Clock::now()});
}

void StreamEngine::check() {
  const Lock lock(mutex_);
  throwIfFailed();
}

void StreamEngine::abort(const std::string& reason) {
  const Lock lock(mutex_);
  fail(PeerError(fmt::format("rank {} gave up: {}", rank_, reason), true));
  moveBytes();
}

void StreamEngine::want(uint64_t group, FrameHeader::Kind kind, Wanted& wanted) {
  if (failure_) return;
  Channel& channel = channels_[{group, wanted.in.rank, kind}];
  if (channel.arrived.empty()) {
    channel.wanted = &wanted;
    return;
  }
  const Arrived arrived = std::move(channel.arrived.front());
  channel.arrived.pop_front();
  if (!fits(wanted.in.rank, arrived.header, wanted)) return;
  copyBytes(wanted.in.data, arrived.data.get(), wanted.in.bytes);
  wanted.done = true;
}

bool StreamEngine::fits(int rank, const FrameHeader& header, const Wanted& wanted) {
  const bool part = header.kind == FrameHeader::part;
  if (header.bytes == uint64_t(wanted.in.bytes) && (!part || header.call == wanted.call))
    return true;
  if (part)
    fail(fmt::format("ranks disagree on what they do together: rank {} calls {}, rank {} calls {}",
                     rank_, callText(wanted.call), rank, callText(header.call)));
  else
    fail(fmt::format("rank {} waits in {}, but {} bytes were sent", rank_, callText(wanted.call),
                     header.bytes));
  return false;
}

void* StreamEngine::place(int rank, const FrameHeader& header) {
  if (header.kind != FrameHeader::message && header.kind != FrameHeader::part) return nullptr;
  const Channel& channel = channels_[{header.group, rank, FrameHeader::Kind(header.kind)}];
  if (!channel.wanted || !fits(rank, header, *channel.wanted)) return nullptr;
  return channel.wanted->in.data;
}

void StreamEngine::store(int rank, const FrameHeader& header, std::unique_ptr<std::byte[]> data) {
  if (failure_) return;
  ++progress_;
  Channel& channel = channels_[{header.group, rank, FrameHeader::Kind(header.kind)}];
  if (!channel.wanted) {
    channel.arrived.push_back({header, std::move(data)});
    return;
  }
  // It may have begun to arrive before it was wanted, and then lies in memory of its own.
  if (!fits(rank, header, *channel.wanted)) return;
  if (data) copyBytes(channel.wanted->in.data, data.get(), channel.wanted->in.bytes);
  channel.wanted->done = true;
  channel.wanted = nullptr;
}

void StreamEngine::arrived(int rank, const FrameHeader& header, std::unique_ptr<std::byte[]> data) {
  switch (header.kind) {
    case FrameHeader::message:
    case FrameHeader::part:
      return store(rank, header, std::move(data));
    case FrameHeader::heartbeat: {
      RankStatus status;
      if (header.bytes != sizeof status) return;
      std::memcpy(&status, data.get(), sizeof status);
      return liveness_.heard(rank, status, Clock::now());
    }
    case FrameHeader::failure:
    case FrameHeader::gaveUp: {
      const std::string what(reinterpret_cast<const char*>(data.get()), header.bytes);
      return fail(PeerError(what, header.kind == FrameHeader::gaveUp), Heard::fromPeer);
    }
    case FrameHeader::goodbye:
      ended_[size_t(rank)] = true;
      liveness_.ended(rank);
      return links_[size_t(rank)].sendCopy({.kind = FrameHeader::goodbyeHeard}, nullptr);
    case FrameHeader::goodbyeHeard:
      goodbyeHeard_[size_t(rank)] = true;
  }
}

// Heartbeats alone are no progress.
void StreamEngine::moved(int rank, bool payload) {
  progress_ += payload;
  liveness_.heard(rank, Clock::now());
}

void StreamEngine::failIfEnded(int rank, const CommCall& call) {
  if (!ended_[size_t(rank)]) return;
  fail(fmt::format("rank {} waits in {}, but rank {} has ended", rank_, callText(call), rank));
}

void StreamEngine::failOnEnded(const Waiting& waiting) {
  for (const Wanted& w : waiting.wanted)
    if (!w.done) failIfEnded(w.in.rank, waiting.call);
}

void StreamEngine::await(Lock& lock, const Waiting& waiting) {
  ++waiters_;
  waiting_ = waiting;
  moveBytes();
  while (!failure_ && !waiting.satisfied()) {
    failOnEnded(waiting);
    if (failure_) break;
    pollFor(lock, connectionsOnly, kTick);
    moveBytes();
  }
  waiting_.reset();
  --waiters_;
  ++progress_;
  lastWait_ = Clock::now();
  if (!waiting.satisfied()) throwIfFailed();
}

void StreamEngine::moveBytes() {
  for (size_t r = 0; r < links_.size(); ++r) {
    if (!links_[r].open()) continue;
    try {
      const bool writes = links_[r].write();
      const bool reads = links_[r].read(*this);
      if (!writes || !reads) lost(int(r));
    } catch (const std::bad_alloc&) {
      links_[r].close();
      fail(fmt::format("rank {} has no memory for what rank {} sends", rank_, r));
    }
  }
}

void StreamEngine::lost(int rank) {
  PeerLink& link = links_[size_t(rank)];
  const std::optional<CommCall> unsent = link.unsent();
  link.close();
  if (leaving_) return;
  if (!ended_[size_t(rank)])
    fail(fmt::format("rank {} died: its connection to rank {} broke", rank, rank_));
  else if (unsent)
    failIfEnded(rank, *unsent);
}

// Memory of callers must not be touched once they have thrown.
void StreamEngine::fail(const PeerError& failure, Heard heard) {
  if (failure_) return;
  failure_.emplace(failure);
  const std::string what = failure.what();
  const auto kind = failure.gaveUp() ? FrameHeader::gaveUp : FrameHeader::failure;
  failedAt_ = Clock::now();
  for (auto& [key, channel] : channels_) channel.wanted = nullptr;
  for (size_t r = 0; r < links_.size(); ++r) {
    links_[r].letGo();
    if (heard == Heard::here && links_[r].open() && !ended_[r])
      links_[r].sendCopy({.kind = kind, .bytes = what.size()}, what.data());
  }
}

void StreamEngine::throwIfFailed() {
  if (!failure_) return;
  thrown_ = true;
  throw *failure_;
}

RankStatus StreamEngine::status() const {
  if (!waiting_ || waiting_->satisfied()) return {.progress = progress_};
  return {.progress = progress_, .waiting = 1, .call = waiting_->call};
}

void StreamEngine::tick() {
  const auto now = Clock::now();
  if (now - lastTick_ < kTick) return;
  lastTick_ = now;
  if (leaving_) return;
  if (failure_) return endProcessIfStuck();
  const auto verdict =
      liveness_.tick(status(), waiting_ ? waiting_->since : Clock::time_point(), now);
  for (const std::string& line : verdict.reports) {
    if (options_.report)
      options_.report(line);
    else
      fmt::print(stderr, "{}\n", line);
  }
  if (verdict.failure) fail(*verdict.failure);
  sendHeartbeats();
}

// Where bytes wait to be written, their arrival is the heartbeat.
void StreamEngine::sendHeartbeats() {
  if (lastTick_ - lastHeartbeat_ < options_.liveness.heartbeat) return;
  lastHeartbeat_ = lastTick_;
  const RankStatus now = status();
  for (size_t r = 0; r < links_.size(); ++r) {
    if (!links_[r].open() || links_[r].hasToWrite() || ended_[r]) continue;
    links_[r].sendCopy({.kind = FrameHeader::heartbeat, .bytes = sizeof now}, &now);
    links_[r].write();
  }
}

void StreamEngine::endProcessIfStuck() {
  if (options_.exitAfterFailure == 0ms) return;
  const Clock::duration grace = thrown_ ? kTearDownTime : options_.exitAfterFailure;
  if (Clock::now() - failedAt_ < grace) return;
  fmt::print(stderr, "error: {} (rank {} was busy and is ended)\n", failure_->what(), rank_);
  std::fflush(nullptr);
  _exit(exitCode(ErrorKind::runtime));
}

void StreamEngine::pollFor(Lock& lock, Polled polled, std::chrono::milliseconds within) {
  std::vector<pollfd> waits;
  bool asks = false;
  if (polled != connectionsOnly) waits.push_back({wake_.get(), POLLIN, 0});
  for (const PeerLink& link : links_) {
    if (polled == wakeOnly || !link.open()) continue;
    if (link.fd() >= 0)
      waits.push_back({link.fd(), short(link.hasToWrite() ? POLLIN | POLLOUT : POLLIN), 0});
    else
      asks = true;
  }
  if (asks && polled == connectionsOnly) return pause(lock);
  if (asks) within = std::min(within, kThreadPause);
  lock.unlock();
  poll(waits.data(), waits.size(), int(within.count()));
  lock.lock();
}

void StreamEngine::pause(Lock& lock) {
  if (progress_ != pausedAt_) idlePolls_ = 0;
  pausedAt_ = progress_;
  lock.unlock();
  if (++idlePolls_ < kBusyPolls)
    std::this_thread::yield();
  else
    std::this_thread::sleep_for(kPause);
  lock.lock();
}

void StreamEngine::wakeThread() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
}

void StreamEngine::run() {
  Lock lock(mutex_);
  while (!stop_) {
    const bool busy = leaving_ || waiters_ > 0 || Clock::now() - lastWait_ < kCallsFollow;
    pollFor(lock, busy ? wakeOnly : both, waiters_ > 0 || !busy ? kTick : kCallsFollow);
    uint64_t wakes = 0;
    [[maybe_unused]] const auto n = ::read(wake_.get(), &wakes, sizeof wakes);
    if (!leaving_) moveBytes();
    tick();
  }
}

}  // namespace meshplan
