// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/rendezvous.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <thread>

#include "backend/comm/sockets.h"
#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

Fd guest(int port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

void say(const Fd& fd, const std::string& bytes) {
  EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), ssize_t(bytes.size()));
}

/// A greeting as a rank would send it.
std::string greeting(int rank, int size, const std::string& token) {
  const std::array<int32_t, 4> head = {int32_t(FrameHeader::kMagic), rank, size, 1};
  std::string bytes(reinterpret_cast<const char*>(head.data()), sizeof head);
  bytes += token;
  bytes.resize(sizeof head + 64);
  return bytes;
}

struct Meeting {
  explicit Meeting(int ranks) {
    all.size = ranks;
    all.token = "right";
    all.within = 10s;
    listener = listenOnLoopback(&all.port);
  }
  Rendezvous of(int rank) {
    Rendezvous r = all;
    r.rank = rank;
    if (rank == 0) r.listener = listener.release();
    return r;
  }
  std::future<double> join(int rank) {
    return std::async(std::launch::async, [r = of(rank)] {
      const auto comm = connectSockets(r);
      double x = r.rank;
      comm->allReduce(&x, 1, DType::f64, ReduceOp::sum);
      return x;
    });
  }

  Rendezvous all;
  Fd listener;
};

std::string failure(std::future<double> rank) {
  try {
    rank.get();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::runtime);
    return e.what();
  }
  return "no error";
}

TEST(Rendezvous, StrangersDoNotDisturbTheRanks) {
  Meeting meeting(3);
  auto host = meeting.join(0);
  const int port = meeting.all.port;
  const Fd wrongToken = guest(port), garbage = guest(port), silent = guest(port),
           slow = guest(port), outOfRange = guest(port);
  say(wrongToken, greeting(1, 3, "wrong"));
  say(garbage, std::string(100000, 'x'));
  say(slow, greeting(1, 3, "right").substr(0, 20));
  say(outOfRange, greeting(7, 3, "right"));
  for (int i = 0; i < 200; ++i) guest(port);
  auto first = meeting.join(1), second = meeting.join(2);
  EXPECT_EQ(host.get(), 3);
  EXPECT_EQ(first.get(), 3);
  EXPECT_EQ(second.get(), 3);
}

TEST(Rendezvous, AWrongTokenIsDisconnectedWithoutAnAnswer) {
  Meeting meeting(2);
  auto host = meeting.join(0);
  const Fd wrong = guest(meeting.all.port);
  say(wrong, greeting(1, 2, "wrong"));
  char answer = 0;
  EXPECT_LE(recv(wrong.get(), &answer, 1, 0), 0);
  auto rank = meeting.join(1);
  EXPECT_EQ(host.get(), 1);
  EXPECT_EQ(rank.get(), 1);
}

TEST(Rendezvous, ARankThatIsThereAlreadyIsNotReplaced) {
  Meeting meeting(3);
  auto host = meeting.join(0), first = meeting.join(1);
  std::this_thread::sleep_for(100ms);
  const Fd again = guest(meeting.all.port);
  say(again, greeting(1, 3, "right"));
  auto second = meeting.join(2);
  EXPECT_EQ(host.get() + first.get() + second.get(), 9);
}

TEST(Rendezvous, NobodyListensOnceAllHaveJoined) {
  Meeting meeting(2);
  const int port = meeting.all.port;
  auto rank = std::async(std::launch::async, [r = meeting.of(1)] { return connectSockets(r); });
  const auto host = connectSockets(meeting.of(0));
  const auto other = rank.get();
  const Fd late(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(::connect(late.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  auto end = std::async(std::launch::async, [&] { other->barrier(); });
  host->barrier();
}

TEST(Rendezvous, RanksThatDoNotComeAreNamed) {
  Meeting meeting(4);
  meeting.all.within = 300ms;
  auto host = meeting.join(0), second = meeting.join(2);
  EXPECT_THAT(failure(std::move(host)),
              AllOf(HasSubstr("rank 1, rank 3 did not come"), HasSubstr("127.0.0.1")));
  EXPECT_THAT(failure(std::move(second)), HasSubstr("did not let rank 2 join"));
}

TEST(Rendezvous, AMissingRankZeroIsNamedWithItsAddress) {
  Meeting meeting(2);
  meeting.listener.close();
  meeting.all.within = meeting.all.connectWithin = 200ms;
  EXPECT_THAT(failure(meeting.join(1)),
              AllOf(HasSubstr("rank 0 is not at 127.0.0.1:"), HasSubstr("MASTER_ADDR")));
}

TEST(Rendezvous, RanksOfAnotherWorldAreRefused) {
  Meeting meeting(2);
  auto host = meeting.join(0);
  const Fd stray = guest(meeting.all.port);
  say(stray, greeting(1, 5, "right"));
  EXPECT_THAT(failure(std::move(host)), HasSubstr("rank 1 was started as one of 5 ranks"));
}

TEST(Rendezvous, RanksWithoutASecretAreRefused) {
  Rendezvous r;
  r.size = 2;
  EXPECT_THROW(joinRanks(r), Error);
  r.token = std::string(65, 'x');
  EXPECT_THROW(joinRanks(r), Error);
}

TEST(Rendezvous, GarbageFromAPeerIsNotObeyed) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  std::vector<Fd> connections(2);
  connections[1] = Fd(ends[0]);
  StreamEngine engine(0, socketStreams(std::move(connections)), {});
  const Fd other(ends[1]);
  say(other, std::string(4096, 'z'));
  char byte = 0;
  EXPECT_THROW(engine.receive(1, {1, &byte, 1}), Error);
}

TEST(Rendezvous, AnEnormousMessageIsAnErrorNotACrash) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  std::vector<Fd> connections(2);
  connections[1] = Fd(ends[0]);
  StreamEngine engine(0, socketStreams(std::move(connections)), {});
  const Fd other(ends[1]);
  FrameHeader header;
  header.kind = FrameHeader::message;
  header.bytes = uint64_t(1) << 62;
  say(other, std::string(reinterpret_cast<const char*>(&header), sizeof header));
  char byte = 0;
  EXPECT_THROW(engine.receive(1, {1, &byte, 1}), Error);
}

}  // namespace
}  // namespace meshplan
