// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/meeting_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <optional>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

struct Meeting {
  int port = 0;
  std::string token;
};

std::string meetingPath(const std::string& job) {
  const std::string folder = fmt::format("/tmp/meshplan-{}", getuid());
  mkdir(folder.c_str(), 0700);
  struct stat status {};
  if (lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
      status.st_uid != getuid() || (status.st_mode & 077) != 0)
    throw Error(ErrorKind::runtime, fmt::format("{} is not a folder of this user alone", folder),
                "remove it, or set its owner and mode 0700");
  std::string name = job;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-') c = '_';
  return folder + "/" + name.substr(0, 200);
}

void writeMeeting(const std::string& path, const Meeting& meeting) {
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  const std::string text = fmt::format("{} {}\n", meeting.port, meeting.token);
  const Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.open() || ::write(fd.get(), text.data(), text.size()) != ssize_t(text.size()) ||
      std::rename(temporary.c_str(), path.c_str()) != 0)
    throw Error(ErrorKind::runtime, fmt::format("cannot write {}", path), "make room in /tmp");
}

std::optional<Meeting> readMeeting(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  std::array<char, 128> text{};
  if (!fd.open() || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
  std::array<char, 65> token{};
  Meeting meeting;
  if (std::sscanf(text.data(), "%d %64s", &meeting.port, token.data()) != 2) return std::nullopt;
  meeting.token = token.data();
  return meeting;
}

std::unique_ptr<Communicator> host(Rendezvous r, const std::string& path,
                                   const StreamOptions& options) {
  if (r.token.empty()) r.token = randomToken();
  Fd listener = listenOnLoopback(&r.port);
  r.listener = listener.release();
  writeMeeting(path, {r.port, r.token});
  try {
    auto world = connectSockets(r, options);
    unlink(path.c_str());
    return world;
  } catch (...) {
    unlink(path.c_str());
    throw;
  }
}

// Nobody listens where an old file points to, or somebody who knows another token.
std::unique_ptr<Communicator> visit(Rendezvous r, const std::string& path,
                                    const StreamOptions& options) {
  const auto until = Clock::now() + r.within;
  r.connectWithin = 200ms;
  for (;; std::this_thread::sleep_for(20ms)) {
    const auto meeting = readMeeting(path);
    const bool late = Clock::now() >= until;
    if (!meeting && late)
      throw Error(ErrorKind::runtime,
                  fmt::format("rank {} waited in vain for rank 0 to write {}", r.rank, path),
                  "check that rank 0 was started on this host");
    if (!meeting) continue;
    r.port = meeting->port;
    r.token = meeting->token;
    r.within = std::max<std::chrono::milliseconds>(
        1ms, std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()));
    try {
      return connectSockets(r, options);
    } catch (const Error&) {
      if (late) throw;
    }
  }
}

}  // namespace

std::string randomToken() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != ssize_t(bytes.size()))
    throw Error(ErrorKind::runtime, "the system gives no random numbers");
  std::string token;
  for (const unsigned char b : bytes) token += fmt::format("{:02x}", b);
  return token;
}

std::unique_ptr<Communicator> connectThroughFile(Rendezvous rendezvous, const std::string& job,
                                                 const StreamOptions& options) {
  const std::string path = meetingPath(fmt::format("{}-{}", job, rendezvous.size));
  return rendezvous.rank == 0 ? host(std::move(rendezvous), path, options)
                              : visit(std::move(rendezvous), path, options);
}

}  // namespace meshplan
