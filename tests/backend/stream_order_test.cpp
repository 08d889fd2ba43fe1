// SPDX-License-Identifier: Apache-2.0
// Waits suffice for every pair of instructions that touch the same memory, by brute force, and none
// is given that the order of streams does not need.
#include "backend/stream_order.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace meshplan {
namespace {

struct Issued {
  int stream = 0;
  std::vector<MemoryAccess> accesses;
  std::set<size_t> before;  // instructions that have ended when this one begins
};

bool conflict(const Issued& a, const Issued& b) {
  for (const MemoryAccess& x : a.accesses)
    for (const MemoryAccess& y : b.accesses)
      if ((x.writes || y.writes) && std::max(x.begin, y.begin) < std::min(x.end, y.end))
        return true;
  return false;
}

Issued randomInstruction(std::mt19937& random, int streams, uint32_t memory) {
  Issued one;
  one.stream = static_cast<int>(random() % static_cast<uint32_t>(streams));
  const uint32_t count = random() % 5;
  for (uint32_t i = 0; i < count; ++i) {
    const uintptr_t begin = 1000 + random() % memory;
    one.accesses.push_back({begin, begin + random() % (memory / 4), random() % 3 == 0});
  }
  return one;
}

/// All that was issued on a stream so far, and what that has waited for.
void addStream(const std::vector<Issued>& issued, int stream, std::set<size_t>& before) {
  for (size_t i = 0; i < issued.size(); ++i) {
    if (issued[i].stream != stream) continue;
    before.insert(i);
    before.insert(issued[i].before.begin(), issued[i].before.end());
  }
}

void checkNext(const std::vector<Issued>& issued, Issued& next, uint8_t waits) {
  ASSERT_EQ(waits & streamBit(static_cast<Stream>(next.stream)), 0) << "waits for itself";
  addStream(issued, next.stream, next.before);
  for (int s = 0; s < kStreams; ++s) {
    if (!(waits & streamBit(static_cast<Stream>(s)))) continue;
    bool needed = false;
    for (size_t i = 0; i < issued.size(); ++i)
      needed = needed ||
               (issued[i].stream == s && next.before.count(i) == 0 && conflict(issued[i], next));
    EXPECT_TRUE(needed) << "waits for stream " << s << " in vain";
  }
}

TEST(StreamOrder, OrdersEveryConflictAndNothingElse) {
  std::mt19937 random(4);
  int64_t waitsSeen = 0, conflicts = 0;
  for (int list = 0; list < 300; ++list) {
    SCOPED_TRACE(list);
    StreamOrder order;
    std::vector<Issued> issued;
    const int streams = 1 + static_cast<int>(random() % kStreams);
    const uint32_t memory = 8u << random() % 8;
    for (int i = 0; i < 80; ++i) {
      Issued next = randomInstruction(random, streams, memory);
      const uint8_t waits = order.issue(static_cast<Stream>(next.stream), next.accesses);
      ASSERT_NO_FATAL_FAILURE(checkNext(issued, next, waits));
      for (int s = 0; s < kStreams; ++s)
        if (waits & streamBit(static_cast<Stream>(s))) {
          addStream(issued, s, next.before);
          ++waitsSeen;
        }
      for (size_t j = 0; j < issued.size(); ++j) {
        if (!conflict(issued[j], next)) continue;
        ++conflicts;
        ASSERT_EQ(next.before.count(j), 1u) << "instruction " << issued.size() << " passes " << j;
      }
      issued.push_back(std::move(next));
    }
  }
  EXPECT_GT(waitsSeen, 1000);
  EXPECT_GT(conflicts, 10 * waitsSeen);
}

TEST(StreamOrder, ReadersDoNotWaitForReaders) {
  StreamOrder order;
  const MemoryAccess write[] = {{0, 100, true}}, read[] = {{0, 100, false}};
  EXPECT_EQ(order.issue(Stream::compute, write), 0);
  EXPECT_EQ(order.issue(Stream::data, read), streamBit(Stream::compute));
  EXPECT_EQ(order.issue(Stream::tensor, read), streamBit(Stream::compute));
  EXPECT_EQ(order.issue(Stream::compute, read), 0);
  EXPECT_EQ(order.issue(Stream::compute, write),
            streamBit(Stream::data) | streamBit(Stream::tensor));
}

TEST(StreamOrder, NeighboursAndEmptyRangesAreFree) {
  StreamOrder order;
  const MemoryAccess left[] = {{0, 100, true}}, right[] = {{100, 200, true}},
                     nothing[] = {{50, 50, true}};
  EXPECT_EQ(order.issue(Stream::compute, left), 0);
  EXPECT_EQ(order.issue(Stream::data, right), 0);
  EXPECT_EQ(order.issue(Stream::tensor, nothing), 0);
}

TEST(StreamOrder, WhatHasRunIsForgotten) {
  StreamOrder order;
  const MemoryAccess write[] = {{0, 100, true}};
  order.issue(Stream::compute, write);
  order.clear();
  EXPECT_EQ(order.issue(Stream::data, write), 0);
}

}  // namespace
}  // namespace meshplan
