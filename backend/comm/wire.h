// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "backend/comm/call.h"

namespace meshplan {

using Clock = std::chrono::steady_clock;

/// An open file descriptor and its owner; -1 is none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  int release();
  void close();

 private:
  int fd_ = -1;
};

/// What precedes every message between two ranks that have joined. Both ends run the same program
/// on machines of the same byte order, which `kMagic` proves. On the wire the peer of a call is a
/// rank of the world.
struct FrameHeader {
  static constexpr uint32_t kMagic = 0x4d50'4c31;
  static constexpr uint64_t kMostBytes = uint64_t{1} << 39;  // more is garbage, not a tensor
  enum Kind : uint32_t { message, part, heartbeat, failure, gaveUp, goodbye, goodbyeHeard };

  uint32_t magic = kMagic;
  uint32_t kind = heartbeat;
  uint64_t group = 0;  // of a message or of a part of a collective
  uint64_t bytes = 0;  // that follow
  CommCall call{};
};

/// The payload of a heartbeat: what a rank has done and what it waits for.
struct RankStatus {
  uint64_t progress = 0;  // grows as calls return and data arrives
  uint64_t waiting = 0;   // 1: in a call that nothing that has arrived satisfies
  CommCall call{};
};

void setNonBlocking(int fd);
/// Small messages leave at once.
void setNoDelay(int fd);

}  // namespace meshplan
