// SPDX-License-Identifier: Apache-2.0
// Ranks over byte streams that leave one after another.
#include "backend/comm/stream_group.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "backend/comm/byte_stream.h"

namespace meshplan {
namespace {

/// Takes bytes only once `open` is set.
class HeldStream final : public ByteStream {
 public:
  HeldStream(std::unique_ptr<ByteStream> stream, const std::atomic<bool>& open)
      : stream_(std::move(stream)), open_(open) {}
  int fd() const override { return stream_->fd(); }
  int64_t write(std::span<const iovec> pieces) override {
    return open_ ? stream_->write(pieces) : 0;
  }
  int64_t read(void* to, size_t room) override { return stream_->read(to, room); }

 private:
  std::unique_ptr<ByteStream> stream_;
  const std::atomic<bool>& open_;
};

/// [rank][peer], every two ranks joined.
std::array<ByteStreams, 3> threeRanks() {
  std::array<std::vector<Fd>, 3> ends;
  for (auto& of : ends) of.resize(3);
  for (const auto& [a, b] : {std::pair(0, 1), {0, 2}, {1, 2}}) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ends[size_t(a)][size_t(b)] = Fd(pair[0]);
    ends[size_t(b)][size_t(a)] = Fd(pair[1]);
  }
  return {socketStreams(std::move(ends[0])), socketStreams(std::move(ends[1])),
          socketStreams(std::move(ends[2]))};
}

TEST(StreamGroup, ARankMayLeaveWhileOthersStillWaitForEachOther) {
  std::atomic<bool> open = false;
  auto streams = threeRanks();
  streams[1][0] = std::make_unique<HeldStream>(std::move(streams[1][0]), open);
  std::vector<std::thread> ranks;
  for (int r = 0; r < 3; ++r)
    ranks.emplace_back([&, r] {
      const auto group = connectStreams(r, std::move(streams[size_t(r)]), {});
      EXPECT_NO_THROW(group->barrier()) << "rank " << r;
    });
  // Its goodbye reaches rank 0, whose answer ends it; rank 1 cannot answer rank 0 yet.
  ranks[2].join();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  open = true;
  ranks[0].join();
  ranks[1].join();
}

}  // namespace
}  // namespace meshplan
