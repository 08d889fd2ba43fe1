// SPDX-License-Identifier: Apache-2.0
#include "backend/checksum.h"

#include <gtest/gtest.h>

#include <set>

namespace meshplan {
namespace {

TEST(Checksum, DiffersForEveryChangedMovedOrMissingByte) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * 37);
  std::set<uint64_t> sums{checksum(text)};
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      sums.insert(checksum(changed));
    }
    sums.insert(checksum(text.substr(0, i)));
    if (i > 0) sums.insert(checksum(text.substr(i) + text.substr(0, i)));
  }
  EXPECT_EQ(sums.size(), 1u + 800 + 100 + 99);
}

TEST(Checksum, DependsOnTheSeed) {
  const std::string text = "weights";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(checksum(bytes, 1), checksum(bytes, 1));
  EXPECT_NE(checksum(bytes, 1), checksum(bytes, 2));
}

}  // namespace
}  // namespace meshplan
