// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/communicator_conformance.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "backend/half.h"

namespace meshplan {
namespace {

using Buffer = std::vector<unsigned char>;

constexpr int64_t kMebi = 1 << 20;
const std::vector<int64_t> kCounts = {0, 1, 3, 63, 64, 65, 1000, 4097};
const std::vector<DType> kTypes = {DType::f64, DType::f32, DType::bf16, DType::f16};

uint64_t mixed(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15u;
  x ^= x >> 29;
  x *= 0xbf58476d1ce4e5b9u;
  return x ^ x >> 32;
}

/// Numbers of widely different sizes, so that another order of addition gives other bits.
double value(uint64_t seed, int rank, int64_t i) {
  const uint64_t bits = mixed(mixed(seed * 64 + uint64_t(rank)) + uint64_t(i) + 1);
  const double mantissa = double(int64_t(bits >> 12)) / double(int64_t(1) << 51) - 1;
  return std::ldexp(mantissa, int(bits & 7));
}

/// The bf16 nearest to x, ties to the even one, found by trying its two neighbours.
uint16_t bf16(float x) {
  const uint16_t low = uint16_t(std::bit_cast<uint32_t>(x) >> 16);
  const auto wide = [](uint32_t bits) { return double(std::bit_cast<float>(bits << 16)); };
  const double below = std::fabs(double(x) - wide(low));
  const double above = std::fabs(wide(uint32_t(low) + 1) - double(x));
  if (below == above) return uint16_t(low + (low & 1));
  return uint16_t(below < above ? low : low + 1);
}

float fromBf16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

template <class T>
void put(Buffer& buffer, int64_t i, T x) {
  std::memcpy(buffer.data() + i * int64_t(sizeof(T)), &x, sizeof(T));
}

template <class T>
T get(const Buffer& buffer, int64_t i) {
  T x;
  std::memcpy(&x, buffer.data() + i * int64_t(sizeof(T)), sizeof(T));
  return x;
}

Buffer data(DType type, uint64_t seed, int rank, int64_t count) {
  Buffer buffer(size_t(count * dtypeBytes(type)));
  for (int64_t i = 0; i < count; ++i) {
    const double x = value(seed, rank, i);
    if (type == DType::f64) put(buffer, i, x);
    if (type == DType::f32) put(buffer, i, float(x));
    if (type == DType::bf16) put(buffer, i, bf16(float(x)));
    if (type == DType::f16) put(buffer, i, Half(float(x)));
  }
  return buffer;
}

Buffer bytes(uint64_t seed, int rank, int64_t count) {
  Buffer buffer(static_cast<size_t>(count));
  uint64_t state = seed * 977 + uint64_t(rank) * 131 + 1;
  for (auto& b : buffer) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    b = static_cast<unsigned char>(state >> 56);
  }
  return buffer;
}

float widened(DType type, const Buffer& buffer, int64_t i) {
  return type == DType::bf16 ? fromBf16(get<uint16_t>(buffer, i)) : float(get<Half>(buffer, i));
}

/// The plain reference: all ranks' elements combined from rank 0 upwards.
Buffer reduced(DType type, uint64_t seed, int ranks, int64_t count, ReduceOp op) {
  const auto combine = [op](auto a, auto b) {
    return op == ReduceOp::sum ? a + b : std::max(a, b);
  };
  Buffer total = data(type, seed, 0, count);
  std::vector<float> wide;
  for (int64_t i = 0; dtypeBytes(type) == 2 && i < count; ++i)
    wide.push_back(widened(type, total, i));
  for (int r = 1; r < ranks; ++r) {
    const Buffer part = data(type, seed, r, count);
    for (int64_t i = 0; i < count; ++i) {
      if (type == DType::f64) put(total, i, combine(get<double>(total, i), get<double>(part, i)));
      if (type == DType::f32) put(total, i, combine(get<float>(total, i), get<float>(part, i)));
      if (dtypeBytes(type) == 2) wide[size_t(i)] = combine(wide[size_t(i)], widened(type, part, i));
    }
  }
  for (size_t i = 0; i < wide.size(); ++i) {
    if (type == DType::bf16) put(total, int64_t(i), bf16(wide[i]));
    if (type == DType::f16) put(total, int64_t(i), Half(wide[i]));
  }
  return total;
}

Buffer part(const Buffer& whole, int64_t index, int64_t size) {
  return Buffer(whole.begin() + index * size, whole.begin() + (index + 1) * size);
}

void checkAllReduce(Communicator& comm, DType type, int64_t count, ReduceOp op, uint64_t seed) {
  Buffer mine = data(type, seed, comm.rank(), count);
  comm.allReduce(mine.data(), count, type, op);
  EXPECT_TRUE(mine == reduced(type, seed, comm.size(), count, op))
      << count << " of " << dtypeName(type) << " on " << comm.size() << " ranks";
}

void sumsEqualThePlainSumInRankOrder(Communicator& comm) {
  for (const DType type : kTypes)
    for (const int64_t count : kCounts)
      checkAllReduce(comm, type, count, ReduceOp::sum, uint64_t(count));
}

void largeSumsEqualThePlainSum(Communicator& comm) {
  checkAllReduce(comm, DType::f32, kMebi / 4 + 3, ReduceOp::sum, 5);
  checkAllReduce(comm, DType::bf16, kMebi / 2 + 1, ReduceOp::sum, 6);
}

void maximaEqualThePlainMaximum(Communicator& comm) {
  for (const DType type : kTypes)
    for (const int64_t count : kCounts)
      checkAllReduce(comm, type, count, ReduceOp::max, uint64_t(count) + 77);
}

void aMaximumWithANanIsNan(Communicator& comm) {
  for (int who = 0; who < comm.size(); ++who) {
    float x = comm.rank() == who ? std::numeric_limits<float>::quiet_NaN() : float(comm.rank());
    comm.allReduce(&x, 1, DType::f32, ReduceOp::max);
    EXPECT_TRUE(std::isnan(x)) << "NaN on rank " << who;
  }
}

void sumsOfBf16KeepInfinitiesAndNans(Communicator& comm) {
  uint16_t x[3] = {uint16_t(comm.rank() == 0 ? 0x7f80 : 0), uint16_t(comm.rank() == 0 ? 0x7f81 : 0),
                   uint16_t(comm.rank() == 0 ? 0xffff : 0)};
  comm.allReduce(x, 3, DType::bf16, ReduceOp::sum);
  EXPECT_EQ(x[0], 0x7f80);
  EXPECT_TRUE(std::isnan(fromBf16(x[1])));
  EXPECT_TRUE(std::isnan(fromBf16(x[2])));
}

void checkReduceScatter(Communicator& comm, DType type, int64_t count, bool inPlace) {
  const uint64_t seed = uint64_t(count) + 31;
  const int64_t partBytes = count * dtypeBytes(type);
  Buffer in = data(type, seed, comm.rank(), count * comm.size());
  Buffer out(static_cast<size_t>(partBytes));
  unsigned char* place = inPlace ? in.data() + comm.rank() * partBytes : out.data();
  comm.reduceScatter(in.data(), place, count, type);
  if (inPlace) out = part(in, comm.rank(), partBytes);
  const Buffer sum = reduced(type, seed, comm.size(), count * comm.size(), ReduceOp::sum);
  EXPECT_TRUE(out == part(sum, comm.rank(), partBytes)) << count << " of " << dtypeName(type);
}

void reduceScatterGivesEachRankItsPartOfTheSum(Communicator& comm) {
  for (const DType type : kTypes)
    for (const int64_t count : kCounts)
      for (const bool inPlace : {false, true}) checkReduceScatter(comm, type, count, inPlace);
  checkReduceScatter(comm, DType::f32, kMebi / 4 / comm.size() + 1, false);
}

void allReduceIsReduceScatterThenAllGather(Communicator& comm) {
  for (const DType type : kTypes)
    for (const int64_t count : {1, 65, 5000}) {
      const int64_t partBytes = count * dtypeBytes(type);
      Buffer once = data(type, 3, comm.rank(), count * comm.size());
      Buffer twice = once;
      comm.allReduce(once.data(), count * comm.size(), type, ReduceOp::sum);
      unsigned char* mine = twice.data() + comm.rank() * partBytes;
      comm.reduceScatter(twice.data(), mine, count, type);
      comm.allGather(mine, twice.data(), partBytes);
      EXPECT_TRUE(once == twice) << count << " of " << dtypeName(type);
    }
}

void checkAllGather(Communicator& comm, int64_t size, bool inPlace, uint64_t seed) {
  const Buffer mine = bytes(seed, comm.rank(), size);
  Buffer out(size_t(size) * size_t(comm.size()), 0xee);
  unsigned char* place = out.data() + comm.rank() * size;
  if (inPlace && size > 0) std::memcpy(place, mine.data(), mine.size());
  comm.allGather(inPlace ? place : mine.data(), out.data(), size);
  for (int r = 0; r < comm.size(); ++r)
    EXPECT_TRUE(part(out, r, size) == bytes(seed, r, size)) << size << " bytes of rank " << r;
}

void allGatherCollectsEveryRanksPart(Communicator& comm) {
  for (const int64_t size : kCounts)
    for (const bool inPlace : {false, true}) checkAllGather(comm, size, inPlace, 9);
  checkAllGather(comm, kMebi + 5, true, 10);
}

void checkAllToAll(Communicator& comm, int64_t size, uint64_t seed) {
  const Buffer in = bytes(seed, comm.rank(), size * comm.size());
  Buffer out(in.size(), 0xee);
  comm.allToAll(in.data(), out.data(), size);
  for (int r = 0; r < comm.size(); ++r)
    EXPECT_TRUE(part(out, r, size) == part(bytes(seed, r, size * comm.size()), comm.rank(), size))
        << size << " bytes of rank " << r;
}

void allToAllTransposesTheParts(Communicator& comm) {
  for (const int64_t size : kCounts) checkAllToAll(comm, size, 12);
  checkAllToAll(comm, kMebi / comm.size() + 7, 13);
}

void checkBroadcast(Communicator& comm, int64_t size, int root, uint64_t seed) {
  Buffer mine = bytes(seed, comm.rank(), size);
  comm.broadcast(mine.data(), size, root);
  EXPECT_TRUE(mine == bytes(seed, root, size)) << size << " bytes from " << root;
}

void broadcastGivesAllTheRootsBytes(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root)
    for (const int64_t size : kCounts) checkBroadcast(comm, size, root, uint64_t(root));
  checkBroadcast(comm, kMebi + 3, comm.size() - 1, 4);
}

void sendsToAllBeforeAnyReceiveDoNotBlock(Communicator& comm) {
  for (const int64_t size : {int64_t(0), int64_t(1), int64_t(777), kMebi + 1}) {
    for (int to = 0; to < comm.size(); ++to) {
      Buffer mine = bytes(uint64_t(to), comm.rank(), size);
      comm.send(mine.data(), size, to);
      std::fill(mine.begin(), mine.end(), 0);  // the send has its own copy
    }
    for (int from = comm.size() - 1; from >= 0; --from) {
      Buffer got(static_cast<size_t>(size));
      comm.receive(got.data(), size, from);
      EXPECT_TRUE(got == bytes(uint64_t(comm.rank()), from, size)) << size << " from " << from;
    }
  }
}

void messagesFromOneRankArriveInOrder(Communicator& comm) {
  const int next = (comm.rank() + 1) % comm.size();
  const int previous = (comm.rank() + comm.size() - 1) % comm.size();
  for (int64_t i = 0; i < 200; ++i) {
    const Buffer mine = bytes(uint64_t(i), comm.rank(), i % 17);
    comm.send(mine.data(), int64_t(mine.size()), next);
  }
  for (int64_t i = 0; i < 200; ++i) {
    Buffer got(static_cast<size_t>(i % 17));
    comm.receive(got.data(), int64_t(got.size()), previous);
    EXPECT_TRUE(got == bytes(uint64_t(i), previous, i % 17)) << "message " << i;
  }
}

void messagesPassCollectivesAndKeepToTheirGroup(Communicator& comm) {
  const auto other = comm.split(0);
  const int next = (comm.rank() + 1) % comm.size();
  const int previous = (comm.rank() + comm.size() - 1) % comm.size();
  const int mine[2] = {comm.rank(), 1000 + comm.rank()};
  comm.send(&mine[0], sizeof(int), next);
  other->send(&mine[1], sizeof(int), next);
  checkAllReduce(comm, DType::f32, 100, ReduceOp::sum, 2);
  int got = -1;
  other->receive(&got, sizeof got, previous);
  EXPECT_EQ(got, 1000 + previous);
  comm.receive(&got, sizeof got, previous);
  EXPECT_EQ(got, previous);
}

void splitsKnowTheirRanks(Communicator& comm) {
  const auto half = comm.split(comm.rank() % 2 == 0 ? -5 : 3);
  EXPECT_EQ(half->rank(), comm.rank() / 2);
  EXPECT_EQ(half->size(), (comm.size() + (comm.rank() % 2 == 0 ? 1 : 0)) / 2);
  for (int m = 0; m < half->size(); ++m)
    EXPECT_EQ(half->worldRank(m), comm.worldRank(m * 2 + comm.rank() % 2));
  const auto again = half->split(0);
  EXPECT_EQ(again->size(), half->size());
  EXPECT_EQ(again->worldRank(again->rank()), comm.worldRank(comm.rank()));
  const auto alone = comm.split(comm.rank());
  EXPECT_EQ(alone->size(), 1);
  checkAllReduce(*half, DType::f32, 100, ReduceOp::sum, 1);
  checkAllReduce(*again, DType::f64, 100, ReduceOp::sum, 2);
  checkAllReduce(*alone, DType::bf16, 100, ReduceOp::sum, 3);
}

void sumsOverTheAxesOfAMeshMakeTheSumOfAll(Communicator& comm) {
  for (int inner = 1; inner <= comm.size(); ++inner) {
    if (comm.size() % inner != 0) continue;
    const auto row = comm.split(comm.rank() / inner);
    const auto column = comm.split(comm.rank() % inner);
    ASSERT_EQ(row->size(), inner);
    ASSERT_EQ(column->size(), comm.size() / inner);
    std::vector<double> x = {double(comm.rank() + 1), double(1 << comm.rank())};
    row->allReduce(x.data(), 2, DType::f64, ReduceOp::sum);
    column->allReduce(x.data(), 2, DType::f64, ReduceOp::sum);
    EXPECT_EQ(x[0], comm.size() * (comm.size() + 1) / 2);
    EXPECT_EQ(x[1], double((1 << comm.size()) - 1));
  }
}

void checkRing(Communicator& comm, int64_t size, uint64_t seed) {
  const Buffer mine = bytes(seed, comm.rank(), size);
  Buffer got(mine.size());
  comm.send(mine.data(), size, (comm.rank() + 1) % comm.size());
  const int previous = (comm.rank() + comm.size() - 1) % comm.size();
  comm.receive(got.data(), size, previous);
  EXPECT_TRUE(got == bytes(seed, previous, size)) << size << " bytes around the ring";
}

void randomOperation(Communicator& comm, std::mt19937& random) {
  const int64_t count = random() % 3 == 0 ? int64_t(random() % 20000) : int64_t(random() % 50);
  const DType type = kTypes[random() % kTypes.size()];
  const uint64_t seed = random();
  const int root = int(random() % uint32_t(comm.size()));
  switch (random() % 8) {
    case 0:
      return checkAllReduce(comm, type, count, ReduceOp::sum, seed);
    case 1:
      return checkAllReduce(comm, type, count, ReduceOp::max, seed);
    case 2:
      return checkReduceScatter(comm, type, count, seed % 2 == 0);
    case 3:
      return checkAllGather(comm, count, seed % 2 == 0, seed);
    case 4:
      return checkAllToAll(comm, count, seed);
    case 5:
      return checkBroadcast(comm, count, root, seed);
    case 6:
      return checkRing(comm, count, seed);
    default:
      return comm.barrier();
  }
}

// All ranks of the world draw the same colours and turns; the members of a group the same
// operations. Every second group is cut from the one before, of which every rank is a member.
void randomSequencesOnRandomSplits(Communicator& world) {
  std::mt19937 shared(2026);
  std::vector<std::unique_ptr<Communicator>> groups;
  for (uint32_t step = 0; step < 120; ++step) {
    if (step % 6 == 0) {
      std::vector<int> colours(static_cast<size_t>(world.size()));
      for (int& c : colours) c = int(shared() % 3);
      Communicator& parent = step % 12 == 0 ? world : *groups.back();
      groups.push_back(parent.split(colours[size_t(world.rank())]));
    }
    Communicator& group = *groups[shared() % groups.size()];
    std::mt19937 random(step * 64 + uint32_t(group.worldRank(0)));
    randomOperation(group, random);
    if (step % 10 == 0) checkAllReduce(world, DType::f32, 33, ReduceOp::sum, step);
  }
}

void repetitionsGiveTheSameBitsOnAllRanks(Communicator& comm) {
  Buffer first;
  for (int round = 0; round < 10; ++round) {
    Buffer mine = data(DType::f32, 8, comm.rank(), 10007);
    comm.allReduce(mine.data(), 10007, DType::f32, ReduceOp::sum);
    if (first.empty()) first = mine;
    EXPECT_TRUE(mine == first) << "round " << round;
  }
  Buffer all(first.size() * size_t(comm.size()));
  comm.allGather(first.data(), all.data(), int64_t(first.size()));
  for (int r = 0; r < comm.size(); ++r)
    EXPECT_TRUE(part(all, r, int64_t(first.size())) == first) << "rank " << r;
}

}  // namespace

const std::vector<ConformanceCheck>& conformanceChecks() {
  static const std::vector<ConformanceCheck> checks = {
      {"SumsEqualThePlainSumInRankOrder", sumsEqualThePlainSumInRankOrder},
      {"LargeSumsEqualThePlainSum", largeSumsEqualThePlainSum},
      {"MaximaEqualThePlainMaximum", maximaEqualThePlainMaximum},
      {"AMaximumWithANanIsNan", aMaximumWithANanIsNan},
      {"SumsOfBf16KeepInfinitiesAndNans", sumsOfBf16KeepInfinitiesAndNans},
      {"ReduceScatterGivesEachRankItsPartOfTheSum", reduceScatterGivesEachRankItsPartOfTheSum},
      {"AllReduceIsReduceScatterThenAllGather", allReduceIsReduceScatterThenAllGather},
      {"AllGatherCollectsEveryRanksPart", allGatherCollectsEveryRanksPart},
      {"AllToAllTransposesTheParts", allToAllTransposesTheParts},
      {"BroadcastGivesAllTheRootsBytes", broadcastGivesAllTheRootsBytes},
      {"SendsToAllBeforeAnyReceiveDoNotBlock", sendsToAllBeforeAnyReceiveDoNotBlock},
      {"MessagesFromOneRankArriveInOrder", messagesFromOneRankArriveInOrder},
      {"MessagesPassCollectivesAndKeepToTheirGroup", messagesPassCollectivesAndKeepToTheirGroup},
      {"SplitsKnowTheirRanks", splitsKnowTheirRanks},
      {"SumsOverTheAxesOfAMeshMakeTheSumOfAll", sumsOverTheAxesOfAMeshMakeTheSumOfAll},
      {"RandomSequencesOnRandomSplits", randomSequencesOnRandomSplits},
      {"RepetitionsGiveTheSameBitsOnAllRanks", repetitionsGiveTheSameBitsOnAllRanks},
  };
  return checks;
}

}  // namespace meshplan
