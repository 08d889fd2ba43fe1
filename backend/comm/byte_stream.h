// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/comm/wire.h"

namespace meshplan {

/// Bytes to and from one other rank, in order. Nothing blocks. Not for several threads at once.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// What poll() can wait for; -1: nothing, it has to be asked again and again.
  virtual int fd() const = 0;
  /// How many bytes were taken or given: 0 when that is not possible now, -1 when the connection is
  /// lost. What was taken may be changed at once.
  virtual int64_t write(std::span<const iovec> pieces) = 0;
  virtual int64_t read(void* to, size_t room) = 0;
};

/// To every rank of the world; null: this rank itself.
using ByteStreams = std::vector<std::unique_ptr<ByteStream>>;

/// Over connected sockets that do not block.
ByteStreams socketStreams(std::vector<Fd> connections);

}  // namespace meshplan
