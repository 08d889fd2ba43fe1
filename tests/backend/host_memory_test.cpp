// SPDX-License-Identifier: Apache-2.0
#include "backend/host_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace meshplan {
namespace {

TEST(HostMemory, IsMoreThanThisTestTakesAndAtMostAllThereIs) {
  const int64_t all = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  EXPECT_GT(availableMemory().value, 16 * kMiB);
  EXPECT_LE(availableMemory().value, all);
}

}  // namespace
}  // namespace meshplan
