// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/wire.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <type_traits>
#include <utility>

namespace meshplan {

static_assert(std::is_trivially_copyable_v<FrameHeader> && sizeof(FrameHeader) == 40);
static_assert(std::is_trivially_copyable_v<RankStatus> && sizeof(RankStatus) == 32);

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int Fd::release() {
  return std::exchange(fd_, -1);
}

void Fd::close() {
  if (fd_ >= 0) ::close(release());
}

void setNonBlocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void setNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace meshplan
