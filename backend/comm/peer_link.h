// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "backend/comm/byte_stream.h"
#include "backend/comm/wire.h"

namespace meshplan {

/// The connection to one other rank, cut into frames. Nothing blocks: `write` and `read` move what
/// can be moved now and return false when the connection is lost. Not for several threads at once.
class PeerLink {
 public:
  /// Who wants what arrives.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    /// Where the payload shall go; null: to memory of its own.
    virtual void* place(int rank, const FrameHeader& header) = 0;
    /// A whole frame is here; `data` is null when `place` gave a place.
    virtual void arrived(int rank, const FrameHeader& header,
                         std::unique_ptr<std::byte[]> data) = 0;
    /// Some bytes have come, of the payload of a message or part or other ones.
    virtual void moved(int rank, bool payload) = 0;
  };

  PeerLink(int rank, std::unique_ptr<ByteStream> stream)
      : rank_(rank), stream_(std::move(stream)), staged_(size_t(64) << 10) {}

  int fd() const { return stream_->fd(); }
  bool open() const { return stream_ != nullptr; }
  void close();
  bool hasToWrite() const { return open() && !out_.empty(); }

  /// header.bytes bytes at `data`, which must stay until --*pending.
  void send(const FrameHeader& header, const void* data, int* pending);
  void sendCopy(const FrameHeader& header, const void* data);
  /// Copies what is left of the last frame given to `send`, so that its memory is free.
  void keepLast();
  /// The first call whose memory waits here to be written.
  std::optional<CommCall> unsent() const;
  /// Forgets the memory of callers: frames not yet begun are dropped, a frame half sent or half
  /// received goes on in a copy.
  void letGo();

  bool write();
  bool read(Receiver& receiver);

 private:
  struct Outgoing {
    FrameHeader header;
    const std::byte* data = nullptr;
    std::unique_ptr<std::byte[]> owned;
    uint64_t written = 0;  // of header and data
    int* pending = nullptr;
  };

  void keep(Outgoing& frame);
  void wrote(uint64_t bytes);
  void understand(Receiver& receiver);
  bool beginFrame(Receiver& receiver);
  void endFrame(Receiver& receiver);

  const int rank_;
  std::unique_ptr<ByteStream> stream_;
  std::deque<Outgoing> out_;
  std::vector<std::byte> staged_;  // bytes [begin_, end_) are read and not yet understood
  size_t begin_ = 0, end_ = 0;
  bool inFrame_ = false, broken_ = false;
  FrameHeader header_;
  uint64_t got_ = 0;  // of the payload
  std::byte* target_ = nullptr;
  std::unique_ptr<std::byte[]> owned_;
};

}  // namespace meshplan
