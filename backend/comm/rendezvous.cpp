// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/rendezvous.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

constexpr auto kGreetingTime = 5s;
constexpr size_t kMaxGuests = 64;

struct Greeting {
  uint32_t magic = FrameHeader::kMagic;
  int32_t rank = 0, size = 0;
  int32_t port = 0;  // where this rank listens for ranks above it
  std::array<char, 64> token{};
};

struct Place {
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_storage);
};

/// A connection that has not yet shown who it is.
struct Guest {
  Fd fd;
  Clock::time_point until;
  Greeting greeting;
  size_t got = 0;
};

Error networkError(const std::string& what, int number) {
  return Error(ErrorKind::runtime, fmt::format("{}: {}", what, std::strerror(number)));
}

std::string placeName(const Rendezvous& r) {
  return fmt::format("{}:{}", r.address, r.port);
}

Greeting greetingOf(const Rendezvous& r, int port) {
  Greeting greeting{.rank = r.rank, .size = r.size, .port = port};
  std::copy(r.token.begin(), r.token.end(), greeting.token.begin());
  return greeting;
}

/// Takes the same time wherever the first difference is.
bool sameToken(const Greeting& a, const Greeting& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.token.size(); ++i)
    difference |= static_cast<unsigned char>(a.token[i] ^ b.token[i]);
  return difference == 0;
}

uint16_t& portOf(Place& place) {
  auto* any = reinterpret_cast<sockaddr*>(&place.address);
  return any->sa_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(any)->sin6_port
                                    : reinterpret_cast<sockaddr_in*>(any)->sin_port;
}

Place resolve(const Rendezvous& r) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(r.address.c_str(), std::to_string(r.port).c_str(), &hints, &found);
  if (status != 0)
    throw Error(ErrorKind::runtime,
                fmt::format("rank 0's address {} is unknown: {}", r.address, gai_strerror(status)),
                "set MASTER_ADDR to a name or number that all hosts know");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  Place place;
  std::memcpy(&place.address, found->ai_addr, found->ai_addrlen);
  place.length = found->ai_addrlen;
  return place;
}

Fd listenAt(Place place) {
  Fd fd(socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // With a port that the system chooses, this option would let two sockets have the same one.
  const int reuse = portOf(place) != 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&place.address), place.length) != 0 ||
      listen(fd.get(), 128) != 0)
    throw networkError("cannot listen for the other ranks", errno);
  setNonBlocking(fd.get());
  return fd;
}

Place localPlace(int fd) {
  Place place;
  getsockname(fd, reinterpret_cast<sockaddr*>(&place.address), &place.length);
  return place;
}

int millisecondsUntil(Clock::time_point time) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(time - Clock::now());
  return int(std::clamp<int64_t>(left.count() + 1, 0, 1000));
}

/// Moves `bytes` bytes through a non-blocking socket; false when the other end closed or the time
/// is over.
template <class Transfer>
bool transferAll(int fd, short event, size_t bytes, Clock::time_point until,
                 const Transfer& transfer) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = transfer(done);
    if (n > 0) {
      done += size_t(n);
      continue;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return false;
    if (Clock::now() >= until) return false;
    pollfd wait{fd, event, 0};
    poll(&wait, 1, millisecondsUntil(until));
  }
  return true;
}

bool sendAll(int fd, const void* data, size_t bytes, Clock::time_point until) {
  return transferAll(fd, POLLOUT, bytes, until, [&](size_t done) {
    return ::send(fd, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
  });
}

bool receiveAll(int fd, void* data, size_t bytes, Clock::time_point until) {
  return transferAll(fd, POLLIN, bytes, until, [&](size_t done) {
    return ::recv(fd, static_cast<char*>(data) + done, bytes - done, 0);
  });
}

/// Tries again until somebody listens there; closed when nobody does in time.
Fd connectTo(const Place& place, Clock::time_point until) {
  for (;; std::this_thread::sleep_for(20ms)) {
    Fd fd(socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    setNonBlocking(fd.get());
    int status = connect(fd.get(), reinterpret_cast<const sockaddr*>(&place.address), place.length);
    if (status != 0 && errno == EINPROGRESS) {
      pollfd wait{fd.get(), POLLOUT, 0};
      poll(&wait, 1, millisecondsUntil(until));
      socklen_t length = sizeof status;
      getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &status, &length);
      if (wait.revents == 0) status = ETIMEDOUT;
    }
    if (status == 0) return fd;
    if (Clock::now() >= until) return {};
  }
}

/// Lets ranks in by their greetings.
class Door {
 public:
  Door(const Rendezvous& r, Fd listener) : r_(r), listener_(std::move(listener)) {}

  /// Waits for all ranks from `first` on; where they listen goes to `places`.
  void admit(int first, std::vector<Fd>& connections, std::vector<Place>& places,
             Clock::time_point until);

 private:
  void acceptGuests();
  bool hear(Guest& guest);
  std::vector<int> missing(int first, const std::vector<Fd>& connections) const;

  const Rendezvous& r_;
  Fd listener_;
  std::list<Guest> guests_;
};

std::vector<int> Door::missing(int first, const std::vector<Fd>& connections) const {
  std::vector<int> ranks;
  for (int r = first; r < r_.size; ++r)
    if (!connections[size_t(r)].open()) ranks.push_back(r);
  return ranks;
}

void Door::acceptGuests() {
  for (;;) {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.open()) {
      if (errno == EMFILE || errno == ENFILE) guests_.clear();
      return;
    }
    if (guests_.size() == kMaxGuests) guests_.pop_front();
    guests_.push_back({std::move(fd), Clock::now() + kGreetingTime, {}, 0});
  }
}

/// Reads what has arrived; false: nothing more will come of it.
bool Door::hear(Guest& guest) {
  while (guest.got < sizeof(Greeting)) {
    const ssize_t n = recv(guest.fd.get(), reinterpret_cast<char*>(&guest.greeting) + guest.got,
                           sizeof(Greeting) - guest.got, 0);
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR) && Clock::now() < guest.until;
    guest.got += size_t(n);
  }
  return guest.greeting.magic == FrameHeader::kMagic &&
         sameToken(guest.greeting, greetingOf(r_, 0));
}

void Door::admit(int first, std::vector<Fd>& connections, std::vector<Place>& places,
                 Clock::time_point until) {
  while (true) {
    acceptGuests();
    for (auto guest = guests_.begin(); guest != guests_.end();) {
      const bool welcome = hear(*guest);
      const Greeting& g = guest->greeting;
      if (welcome && guest->got < sizeof(Greeting)) {
        ++guest;
        continue;
      }
      if (welcome && g.size != r_.size)
        throw Error(ErrorKind::runtime, fmt::format("rank {} was started as one of {} ranks, rank "
                                                    "{} as one of {}",
                                                    g.rank, g.size, r_.rank, r_.size));
      if (welcome && g.rank >= first && g.rank < r_.size && !connections[size_t(g.rank)].open()) {
        Place& place = places[size_t(g.rank)];
        getpeername(guest->fd.get(), reinterpret_cast<sockaddr*>(&place.address), &place.length);
        portOf(place) = htons(uint16_t(g.port));
        connections[size_t(g.rank)] = std::move(guest->fd);
      }
      guest = guests_.erase(guest);
    }
    const std::vector<int> absent = missing(first, connections);
    if (absent.empty()) return;
    if (Clock::now() >= until)
      throw Error(ErrorKind::runtime,
                  fmt::format("of {} ranks, rank {} did not come to {} within {} s", r_.size,
                              fmt::join(absent, ", rank "), placeName(r_),
                              std::chrono::duration<double>(r_.within).count()));
    std::vector<pollfd> waits{{listener_.get(), POLLIN, 0}};
    for (const Guest& guest : guests_) waits.push_back({guest.fd.get(), POLLIN, 0});
    poll(waits.data(), waits.size(), std::min(200, millisecondsUntil(until)));
  }
}

void openHouse(const Rendezvous& r, std::vector<Fd>& connections, Clock::time_point until) {
  std::vector<Place> places(static_cast<size_t>(r.size));
  Fd listener(r.listener);
  if (listener.open())
    setNonBlocking(listener.get());
  else
    listener = listenAt(resolve(r));
  Door(r, std::move(listener)).admit(1, connections, places, until);
  for (int rank = 1; rank < r.size; ++rank)
    if (!sendAll(connections[size_t(rank)].get(), places.data(), places.size() * sizeof(Place),
                 until))
      throw Error(ErrorKind::runtime, fmt::format("rank {} went away while joining", rank));
}

void visit(const Rendezvous& r, std::vector<Fd>& connections, Clock::time_point until) {
  Fd& host = connections[0] =
      connectTo(resolve(r), std::min(until, Clock::now() + r.connectWithin));
  if (!host.open())
    throw Error(
        ErrorKind::runtime,
        fmt::format("rank 0 is not at {}, where rank {} looked for it", placeName(r), r.rank),
        "check MASTER_ADDR and MASTER_PORT, and that rank 0 was started");
  Place mine = localPlace(host.get());
  portOf(mine) = 0;
  Fd listener = listenAt(mine);
  Place bound = localPlace(listener.get());
  const Greeting greeting = greetingOf(r, ntohs(portOf(bound)));
  std::vector<Place> places(static_cast<size_t>(r.size));
  if (!sendAll(host.get(), &greeting, sizeof greeting, until) ||
      !receiveAll(host.get(), places.data(), places.size() * sizeof(Place), until))
    throw Error(ErrorKind::runtime,
                fmt::format("rank 0 at {} did not let rank {} join", placeName(r), r.rank),
                "all ranks need the same MESHPLAN_TOKEN, and all of them must come");
  for (int rank = 1; rank < r.rank; ++rank) {
    Fd& peer = connections[size_t(rank)] = connectTo(places[size_t(rank)], until);
    if (!peer.open() || !sendAll(peer.get(), &greeting, sizeof greeting, until))
      throw Error(ErrorKind::runtime, fmt::format("rank {} cannot reach rank {}", r.rank, rank),
                  "check that the hosts of all ranks can reach each other");
  }
  Door(r, std::move(listener)).admit(r.rank + 1, connections, places, until);
}

}  // namespace

Fd listenOnLoopback(int* port) {
  Place place;
  auto* address = reinterpret_cast<sockaddr_in*>(&place.address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  place.length = sizeof(sockaddr_in);
  Fd fd = listenAt(place);
  Place bound = localPlace(fd.get());
  *port = ntohs(portOf(bound));
  return fd;
}

std::vector<Fd> joinRanks(const Rendezvous& r) {
  std::vector<Fd> connections(static_cast<size_t>(r.size));
  if (r.size == 1) return connections;
  if (r.token.empty() || r.token.size() > std::tuple_size_v<decltype(Greeting::token)>)
    throw Error(ErrorKind::usage, fmt::format("the ranks' token has {} characters", r.token.size()),
                "set MESHPLAN_TOKEN to 1 to 64 characters, the same for all ranks");
  const auto until = Clock::now() + r.within;
  if (r.rank == 0)
    openHouse(r, connections, until);
  else
    visit(r, connections, until);
  for (const Fd& fd : connections)
    if (fd.open()) setNoDelay(fd.get());
  return connections;
}

}  // namespace meshplan
