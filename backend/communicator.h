// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/tensor.h"

namespace meshplan {

enum class ReduceOp : uint8_t { sum, max };

/// What calls throw once the ranks cannot go on together: Error(runtime). `gaveUp` when a rank
/// called `abort` and so has said itself what went wrong.
class PeerError : public Error {
 public:
  PeerError(const std::string& problem, bool gaveUp)
      : Error(ErrorKind::runtime, problem), gaveUp_(gaveUp) {}

  bool gaveUp() const { return gaveUp_; }

 private:
  bool gaveUp_;
};

/// One rank's end of a group of ranks. Every rank of the group calls the same operations in the
/// same order with the same counts; calls block until this rank may reuse its memory. Sums are made
/// in rank order, so that all ranks hold the same bits whatever the timing, and all-reduce equals
/// reduce-scatter followed by all-gather bit by bit. Element types: fp64, fp32, bf16 and fp16
/// (added up in fp32, rounded once) for reductions, any for the others. Shared memory and sockets
/// behave alike.
///
/// A peer that dies, stops answering (see comm/liveness in the implementations) or calls `abort`
/// makes every pending and later call throw PeerError that names that rank of the world.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// The number of this group's member in the world the ranks were started in.
  virtual int worldRank(int member) const = 0;

  /// Cuts the group: ranks of equal colour form a new one, in the order of their rank here. Every
  /// rank calls it, with the same number of calls in the same order on all ranks.
  virtual std::unique_ptr<Communicator> split(int colour) = 0;
  /// Whether calls that a device captures (RankDevice::beginCapture) are repeated with it.
  virtual bool canCapture() const { return false; }

  /// In place over `count` elements.
  virtual void allReduce(void* data, int64_t count, DType type, ReduceOp op) = 0;
  /// `in` holds size() x count elements; this rank's sum of its part goes to `out`, which may be
  /// in + rank() x count elements.
  virtual void reduceScatter(const void* in, void* out, int64_t count, DType type) = 0;
  /// `in` (bytes) of every rank in rank order to `out` (size() x bytes); `in` may be its own place
  /// in `out`.
  virtual void allGather(const void* in, void* out, int64_t bytes) = 0;
  /// Part i of `in` (size() parts of `bytes`) goes to rank i's `out` at part rank().
  virtual void allToAll(const void* in, void* out, int64_t bytes) = 0;
  virtual void broadcast(void* data, int64_t bytes, int root) = 0;

  /// A send returns when `data` may be reused, without waiting for the receive to be posted.
  /// Messages from one rank to another arrive in order; a receive of another size than was sent is
  /// an Error(runtime).
  virtual void send(const void* data, int64_t bytes, int to) = 0;
  virtual void receive(void* data, int64_t bytes, int from) = 0;
  virtual void barrier() = 0;

  /// What pending calls would throw, without waiting for anything: for who waits for other things.
  virtual void throwIfFailed() {}
  /// Makes all calls of all ranks of the world throw, naming this rank and `reason`.
  virtual void abort(const std::string& reason) = 0;
};

}  // namespace meshplan
