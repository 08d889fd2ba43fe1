// SPDX-License-Identifier: Apache-2.0
// Frames through a stream that takes and gives few bytes at a time.
#include "backend/comm/peer_link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>

namespace meshplan {
namespace {

/// What one end has written waits here for the other end to read.
struct Pipe {
  std::deque<std::byte> bytes;
  std::mt19937 random{7};
  size_t most = 100;  // bytes moved at once

  size_t some(size_t available) {
    return std::min(available, std::uniform_int_distribution<size_t>(0, most)(random));
  }
};

class PipeStream final : public ByteStream {
 public:
  PipeStream(Pipe& out, Pipe& in) : out_(out), in_(in) {}

  int fd() const override { return -1; }
  int64_t write(std::span<const iovec> pieces) override {
    const size_t room = out_.some(out_.most);
    size_t n = 0;
    for (const iovec& piece : pieces) {
      const auto* from = static_cast<const std::byte*>(piece.iov_base);
      const size_t now = std::min(piece.iov_len, room - n);
      out_.bytes.insert(out_.bytes.end(), from, from + now);
      n += now;
    }
    return int64_t(n);
  }
  int64_t read(void* to, size_t room) override {
    const size_t n = in_.some(std::min(room, in_.bytes.size()));
    std::copy_n(in_.bytes.begin(), n, static_cast<std::byte*>(to));
    in_.bytes.erase(in_.bytes.begin(), in_.bytes.begin() + long(n));
    return int64_t(n);
  }

 private:
  Pipe &out_, &in_;
};

/// Keeps the payloads that arrive, every other one in memory that it names.
class Receiver final : public PeerLink::Receiver {
 public:
  void* place(int, const FrameHeader& header) override {
    placed_.assign(header.bytes, std::byte{0});
    return arrivals.size() % 2 == 0 && header.bytes > 0 ? placed_.data() : nullptr;
  }
  void arrived(int, const FrameHeader& header, std::unique_ptr<std::byte[]> data) override {
    const std::byte* from = data ? data.get() : placed_.data();
    arrivals.emplace_back(from, from + header.bytes);
  }
  void moved(int, bool) override {}

  std::vector<std::vector<std::byte>> arrivals;

 private:
  std::vector<std::byte> placed_;
};

std::vector<std::byte> payload(size_t frame) {
  std::vector<std::byte> bytes(frame % 5 == 0 ? 0 : frame * 37 % 20000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(frame * 31 + i);
  return bytes;
}

TEST(PeerLink, FramesOfAnySizeArriveWholeAndInOrderHoweverLittleMoves) {
  for (const size_t most : {1, 50, 5000, 1 << 20}) {
    Pipe there, back;
    there.most = most;
    PeerLink from(1, std::make_unique<PipeStream>(there, back));
    PeerLink to(0, std::make_unique<PipeStream>(back, there));
    Receiver receiver;
    const size_t frames = most == 1 ? 8 : 200;
    for (size_t f = 0; f < frames; ++f) {
      const auto data = payload(f);
      from.sendCopy({.kind = FrameHeader::message, .bytes = data.size()}, data.data());
    }
    while (receiver.arrivals.size() < frames) {
      ASSERT_TRUE(from.write());
      ASSERT_TRUE(to.read(receiver));
    }
    for (size_t f = 0; f < frames; ++f) EXPECT_EQ(receiver.arrivals[f], payload(f)) << f;
    EXPECT_FALSE(from.hasToWrite());
  }
}

TEST(PeerLink, AnotherProgramIsRecognised) {
  Pipe there, back;
  PeerLink to(0, std::make_unique<PipeStream>(back, there));
  Receiver receiver;
  there.bytes.assign(200, std::byte{'G'});
  bool open = true;
  for (int i = 0; i < 100 && open; ++i) open = to.read(receiver);
  EXPECT_FALSE(open);
  EXPECT_TRUE(receiver.arrivals.empty());
}

}  // namespace
}  // namespace meshplan
