// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/byte_stream.h"

#include <sys/socket.h>

#include <cerrno>

namespace meshplan {
namespace {

int64_t failed() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(Fd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  int64_t write(std::span<const iovec> pieces) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    const ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? failed() : n;
  }
  int64_t read(void* to, size_t room) override {
    const ssize_t n = recv(fd_.get(), to, room, MSG_DONTWAIT);
    if (n == 0) return -1;
    return n < 0 ? failed() : n;
  }

 private:
  Fd fd_;
};

}  // namespace

ByteStreams socketStreams(std::vector<Fd> connections) {
  ByteStreams streams;
  for (Fd& fd : connections) {
    std::unique_ptr<ByteStream> stream;
    if (fd.open()) stream = std::make_unique<SocketStream>(std::move(fd));
    streams.push_back(std::move(stream));
  }
  return streams;
}

}  // namespace meshplan
