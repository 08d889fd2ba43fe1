// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

#include "core/error.h"

namespace meshplan {

/// Gives `read` every prefix of `bytes` and many copies with changed bytes: each is read or refused
/// with Error(input); anything else fails the test. Returns how many were refused.
template <class Read>
int refusedDamage(const std::string& bytes, Read read, int changes = 2000) {
  int refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    try {
      read(damaged);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
      ++refused;
    }
  };
  for (size_t size = 0; size < bytes.size(); ++size) attempt(bytes.substr(0, size));
  std::mt19937 random(7);
  for (int i = 0; i < changes; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k <= i % 3; ++k)
      damaged[random() % damaged.size()] = static_cast<char>(random() & 255);
    attempt(damaged);
  }
  return refused;
}

}  // namespace meshplan
