// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/stream_group.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "backend/comm/ordered_reduction.h"

namespace meshplan {
namespace {

// Up to here, one exchange of everything is faster than two of shares.
constexpr int64_t kSmallBytes = 4 << 10;
// How much of each peer's share is in memory at once.
constexpr int64_t kSegmentBytes = 1 << 20;

const std::byte* at(const void* data, int64_t offset) {
  return static_cast<const std::byte*>(data) + offset;
}
std::byte* at(void* data, int64_t offset) {
  return static_cast<std::byte*>(data) + offset;
}

uint64_t mixed(uint64_t a, uint64_t b) {
  a = (a ^ b) * 0x9e3779b97f4a7c15u;
  a = (a ^ a >> 32) * 0xbf58476d1ce4e5b9u;
  return a ^ a >> 29;
}

std::vector<int> allRanks(int size) {
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

class StreamGroup final : public Communicator {
 public:
  StreamGroup(StreamEngine& engine, uint64_t id, std::vector<int> ranks, int member)
      : engine_(engine), id_(id), ranks_(std::move(ranks)), member_(member) {}
  /// The group of all ranks owns the connections.
  explicit StreamGroup(std::unique_ptr<StreamEngine> engine)
      : owned_(std::move(engine)),
        engine_(*owned_),
        id_(1),
        ranks_(allRanks(engine_.size())),
        member_(engine_.rank()) {}

  int rank() const override { return member_; }
  int size() const override { return int(ranks_.size()); }
  int worldRank(int member) const override { return ranks_.at(size_t(member)); }

  std::unique_ptr<Communicator> split(int colour) override;
  void allReduce(void* data, int64_t count, DType type, ReduceOp op) override;
  void reduceScatter(const void* in, void* out, int64_t count, DType type) override;
  void allGather(const void* in, void* out, int64_t bytes) override;
  void allToAll(const void* in, void* out, int64_t bytes) override;
  void broadcast(void* data, int64_t bytes, int root) override;
  void send(const void* data, int64_t bytes, int to) override;
  void receive(void* data, int64_t bytes, int from) override;
  void barrier() override;
  void throwIfFailed() override { engine_.check(); }
  void abort(const std::string& reason) override { engine_.abort(reason); }

 private:
  /// `call` with its peer as a rank of the world.
  CommCall checked(CommCall call) const;
  /// One exchange in which every other member gets `out(member)` and gives `in(member)`.
  template <class Out, class In>
  void exchange(const CommCall& call, const Out& out, const In& in);
  void gather(const CommCall& call, const void* in, void* out, int64_t bytes);
  /// Everybody's elements to everybody, each adds them up.
  void reduceWhole(const CommCall& call, void* data, ReduceOp op);
  void reduceShares(const CommCall& call, void* data, int64_t count, ReduceOp op);
  /// `ours(m)`: what member m shall add to its share; this rank's own may be `out`.
  template <class Ours>
  void reduceShare(const CommCall& call, const Ours& ours, void* out, const Share& mine,
                   const std::vector<int64_t>& counts, ReduceOp op);

  const std::unique_ptr<StreamEngine> owned_;
  StreamEngine& engine_;
  const uint64_t id_;
  const std::vector<int> ranks_;
  const int member_;
  uint64_t splits_ = 0;
  std::vector<std::byte> scratch_;
};

CommCall StreamGroup::checked(CommCall call) const {
  checkCall(call, size());
  if (call.peer >= 0) call.peer = worldRank(call.peer);
  return call;
}

template <class Out, class In>
void StreamGroup::exchange(const CommCall& call, const Out& out, const In& in) {
  std::vector<Outbound> outbound;
  std::vector<Inbound> inbound;
  for (int step = 1; step < size(); ++step) {
    // Each starts with the rank after its own, lest all write to the same one at once.
    const int m = (member_ + step) % size();
    if (const auto [data, bytes] = out(m); bytes >= 0)
      outbound.push_back({worldRank(m), data, bytes});
    if (const auto [data, bytes] = in(m); bytes >= 0)
      inbound.push_back({worldRank(m), data, bytes});
  }
  engine_.exchange(id_, call, outbound, inbound);
}

struct Source {
  const void* data = nullptr;
  int64_t bytes = -1;  // -1: nothing, not even an empty part
};
struct Target {
  void* data = nullptr;
  int64_t bytes = -1;
};

void StreamGroup::gather(const CommCall& call, const void* in, void* out, int64_t bytes) {
  std::byte* mine = at(out, member_ * bytes);
  if (bytes > 0 && mine != in) std::memcpy(mine, in, size_t(bytes));
  exchange(
      call,
      [&](int) {
        return Source{in, bytes};
      },
      [&](int m) {
        return Target{at(out, m * bytes), bytes};
      });
}

std::unique_ptr<Communicator> StreamGroup::split(int colour) {
  std::vector<int> colours(ranks_.size());
  gather({.op = CommOp::split}, &colour, colours.data(), sizeof colour);
  std::vector<int> ranks;
  int position = 0;
  for (int m = 0; m < size(); ++m) {
    if (colours[size_t(m)] != colour) continue;
    if (m == member_) position = int(ranks.size());
    ranks.push_back(worldRank(m));
  }
  const uint64_t id = mixed(mixed(id_, ++splits_), uint64_t(uint32_t(colour)) + 1);
  return std::make_unique<StreamGroup>(engine_, id, std::move(ranks), position);
}

template <class Ours>
void StreamGroup::reduceShare(const CommCall& call, const Ours& ours, void* out, const Share& mine,
                              const std::vector<int64_t>& counts, ReduceOp op) {
  const int64_t element = dtypeBytes(call.type);
  const int64_t bytes = mine.count * element;
  scratch_.resize(std::max(scratch_.size(), size_t(bytes * size())));
  exchange(
      call,
      [&](int m) {
        return Source{ours(m), counts[size_t(m)] * element};
      },
      [&](int m) {
        return Target{at(scratch_.data(), m * bytes), bytes};
      });
  std::vector<const void*> parts;
  for (int m = 0; m < size(); ++m)
    parts.push_back(m == member_ ? static_cast<const void*>(ours(m))
                                 : at(scratch_.data(), m * bytes));
  reduceInOrder(parts, std::span(&out, 1), mine.count, call.type, op);
}

void StreamGroup::reduceWhole(const CommCall& call, void* data, ReduceOp op) {
  const std::vector<int64_t> counts(ranks_.size(), call.count);
  const auto whole = [&](int) { return static_cast<const std::byte*>(data); };
  reduceShare(call, whole, data, {0, call.count}, counts, op);
}

void StreamGroup::reduceShares(const CommCall& call, void* data, int64_t count, ReduceOp op) {
  const int64_t element = dtypeBytes(call.type);
  std::vector<Share> shares;
  std::vector<int64_t> counts;
  for (int m = 0; m < size(); ++m) {
    shares.push_back(shareOf(count, m, size()));
    counts.push_back(shares.back().count);
  }
  const auto shareAt = [&](int m) { return at(data, shares[size_t(m)].begin * element); };
  const Share& mine = shares[size_t(member_)];
  reduceShare(
      call, [&](int m) { return static_cast<const std::byte*>(shareAt(m)); }, shareAt(member_),
      mine, counts, op);
  exchange(
      call,
      [&](int) {
        return Source{shareAt(member_), mine.count * element};
      },
      [&](int m) {
        return Target{shareAt(m), counts[size_t(m)] * element};
      });
}

void StreamGroup::allReduce(void* data, int64_t count, DType type, ReduceOp op) {
  const CommCall call =
      checked({op == ReduceOp::sum ? CommOp::sumAll : CommOp::maxAll, type, -1, count});
  const int64_t element = dtypeBytes(type);
  if (count * element <= kSmallBytes) return reduceWhole(call, data, op);
  const int64_t segment = kSegmentBytes / element * size();
  for (int64_t begin = 0; begin < count; begin += segment)
    reduceShares(call, at(data, begin * element), std::min(segment, count - begin), op);
}

void StreamGroup::reduceScatter(const void* in, void* out, int64_t count, DType type) {
  const CommCall call = checked({CommOp::reduceScatter, type, -1, count});
  const int64_t element = dtypeBytes(type), segment = kSegmentBytes / element;
  int64_t begin = 0;
  do {
    const int64_t n = std::min(segment, count - begin);
    const std::vector<int64_t> counts(ranks_.size(), n);
    const auto ours = [&](int m) { return at(in, (m * count + begin) * element); };
    reduceShare(call, ours, at(out, begin * element), {0, n}, counts, ReduceOp::sum);
    begin += n;
  } while (begin < count);
}

void StreamGroup::allGather(const void* in, void* out, int64_t bytes) {
  gather(checked({CommOp::allGather, DType::u8, -1, bytes}), in, out, bytes);
}

void StreamGroup::allToAll(const void* in, void* out, int64_t bytes) {
  const CommCall call = checked({CommOp::allToAll, DType::u8, -1, bytes});
  if (bytes > 0) std::memcpy(at(out, member_ * bytes), at(in, member_ * bytes), size_t(bytes));
  exchange(
      call,
      [&](int m) {
        return Source{at(in, m * bytes), bytes};
      },
      [&](int m) {
        return Target{at(out, m * bytes), bytes};
      });
}

void StreamGroup::broadcast(void* data, int64_t bytes, int root) {
  const CommCall call = checked({CommOp::broadcast, DType::u8, root, bytes});
  exchange(
      call,
      [&](int) {
        return Source{data, member_ == root ? bytes : -1};
      },
      [&](int m) {
        return Target{data, m == root ? bytes : -1};
      });
}

void StreamGroup::send(const void* data, int64_t bytes, int to) {
  checkCall({CommOp::send, DType::u8, to, bytes}, size());
  engine_.send(id_, {worldRank(to), data, bytes});
}

void StreamGroup::receive(void* data, int64_t bytes, int from) {
  checkCall({CommOp::receive, DType::u8, from, bytes}, size());
  engine_.receive(id_, {worldRank(from), data, bytes});
}

void StreamGroup::barrier() {
  exchange(
      {.op = CommOp::barrier},
      [](int) {
        return Source{nullptr, 0};
      },
      [](int) {
        return Target{nullptr, 0};
      });
}

}  // namespace

std::unique_ptr<Communicator> connectStreams(int rank, ByteStreams streams,
                                             const StreamOptions& options) {
  return std::make_unique<StreamGroup>(
      std::make_unique<StreamEngine>(rank, std::move(streams), options));
}

}  // namespace meshplan
