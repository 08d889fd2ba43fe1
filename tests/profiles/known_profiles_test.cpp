// SPDX-License-Identifier: Apache-2.0
#include "profiles/known_profiles.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/profiles/measurement_examples.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

class KnownProfilesTest : public testing::Test {
 protected:
  KnownProfilesTest() { ::setenv("MESHPLAN_SHIPPED_PROFILES", shipped_.file("").c_str(), 1); }
  ~KnownProfilesTest() override { ::unsetenv("MESHPLAN_SHIPPED_PROFILES"); }

  OperatorMeasurement rowOf(const std::string& device, uint32_t seed) {
    OperatorMeasurement row = exampleOperator(seed);
    row.environment.device = device;
    return row;
  }
  void fill(const std::string& path, const std::string& device, uint32_t seed) {
    ProfileStore store(path);
    store.add(std::vector{rowOf(device, seed), rowOf("other", seed + 1)});
    store.add(std::vector{exampleCollective(seed)});
  }

  const ScratchFolder shipped_, own_;
};

TEST_F(KnownProfilesTest, PutsTheUsersRowsAfterTheShippedOnes) {
  fill(shipped_.file("b.db"), "x", 20);
  fill(shipped_.file("a.db"), "x", 10);
  fill(own_.file("p.db"), "x", 30);
  shipped_.write("README.md", "no database");
  const KnownProfiles known = knownProfiles(own_.file("p.db"), "x");
  EXPECT_EQ(textsOf(known.operators),
            textsOf(std::vector{rowOf("x", 10), rowOf("x", 20), rowOf("x", 30)}));
  EXPECT_TRUE(known.problems.empty());
  const KnownProfiles all = knownProfiles(own_.file("p.db"));
  EXPECT_EQ(all.operators.size(), 6u);
  EXPECT_EQ(all.collectives.size(), 3u);
}

TEST_F(KnownProfilesTest, LeavesShippedFilesAsTheyAre) {
  fill(shipped_.file("a.db"), "x", 10);
  const auto before = std::filesystem::last_write_time(shipped_.file("a.db"));
  std::filesystem::permissions(shipped_.file("a.db"), std::filesystem::perms::owner_read);
  EXPECT_EQ(knownProfiles("", "x").operators.size(), 1u);
  EXPECT_EQ(knownProfiles(own_.file("none.db"), "x").operators.size(), 1u);
  EXPECT_EQ(std::filesystem::last_write_time(shipped_.file("a.db")), before);
  EXPECT_EQ(shipped_.entries(), 1u);
  EXPECT_EQ(own_.entries(), 0u);
}

TEST_F(KnownProfilesTest, TellsWhatCannotBeRead) {
  fill(own_.file("p.db"), "x", 30);
  shipped_.write("bad.db", std::string(5000, 'x'));
  const KnownProfiles known = knownProfiles(own_.file("p.db"), "x");
  EXPECT_EQ(known.operators.size(), 1u);
  ASSERT_EQ(known.problems.size(), 1u);
  EXPECT_NE(known.problems[0].find("bad.db: not a profile database"), std::string::npos)
      << known.problems[0];
}

TEST_F(KnownProfilesTest, CanDoWithoutShippedOnes) {
  fill(shipped_.file("a.db"), "x", 10);
  ::setenv("MESHPLAN_SHIPPED_PROFILES", "none", 1);
  EXPECT_TRUE(shippedProfilePaths().empty());
  ::unsetenv("MESHPLAN_SHIPPED_PROFILES");  // beside the tests there is no share/meshplan
  EXPECT_TRUE(knownProfiles("").operators.empty());
}

}  // namespace
}  // namespace meshplan
