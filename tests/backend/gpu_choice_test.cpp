// SPDX-License-Identifier: Apache-2.0
#include "backend/gpu_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/comm/in_process.h"
#include "core/error.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RankGpus seen(const std::string& host, std::vector<std::string> uuids) {
  return {host, "node-" + host, "", "", std::move(uuids)};
}

TEST(ChosenGpus, AreTheOnesOfTheRanksNumberOnTheirHost) {
  const std::vector<std::string> a = {"A0", "A1", "A2"}, b = {"B0", "B1", "B2"};
  EXPECT_THAT(
      chooseGpus({seen("a", a), seen("a", a), seen("b", b), seen("b", b), seen("a", a)}, false),
      ElementsAre(0, 1, 0, 1, 2));
}

TEST(ChosenGpus, AreTheOnlyOnesWhereEachRankSeesItsOwn) {
  EXPECT_THAT(chooseGpus({seen("a", {"A2"}), seen("a", {"A0"}), seen("a", {"A1"})}, false),
              ElementsAre(0, 0, 0));
}

TEST(ChosenGpus, OfOtherOrdersAreToldApart) {
  EXPECT_THAT(chooseGpus({seen("a", {"A1", "A0"}), seen("a", {"A0", "A1"})}, false),
              ElementsAre(0, 0));
  EXPECT_THAT(chooseGpus({seen("a", {"A0", "A1"}), seen("a", {"A0", "A2"})}, false),
              ElementsAre(0, 1));
}

TEST(ChosenGpus, AreSharedEquallyWhereTheyMay) {
  const RankGpus two = seen("a", {"A0", "A1"});
  const std::vector<RankGpus> ranks = {two, two, two, two, two};
  const std::vector<int> chosen = chooseGpus(ranks, true);
  EXPECT_THAT(chosen, ElementsAre(0, 1, 0, 1, 0));
  EXPECT_EQ(ranksOnGpuOf(0, ranks, chosen), 3);
  EXPECT_EQ(ranksOnGpuOf(1, ranks, chosen), 2);
}

std::string refusal(const std::vector<RankGpus>& ranks) {
  try {
    chooseGpus(ranks, false);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "chosen";
}

TEST(ChosenGpus, ThatAreTooFewAreCountedByHost) {
  const RankGpus one = seen("b", {"B0"});
  EXPECT_THAT(refusal({seen("a", {"A0"}), one, one, one}),
              AllOf(HasSubstr("3 ranks on node-b see 1 GPU,"), HasSubstr("start at most 1 there"),
                    HasSubstr("CUDA_VISIBLE_DEVICES=0 meshplan run --ranks 4")));
}

TEST(ChosenGpus, OfARankThatHasNoneAreNamed) {
  RankGpus none = seen("b", {});
  none.problem = "no NVIDIA driver";
  EXPECT_THAT(refusal({seen("a", {"A0"}), none}), HasSubstr("rank 1 on node-b: no NVIDIA driver"));
}

TEST(GatheredGpus, AreTheSameOnAllRanks) {
  const std::vector<RankGpus> all = {
      seen("a", {"A0", "A1"}), seen("b", {}), {"c", "", "no driver", "install one", {"C0"}}};
  runInProcess(3, [&](Communicator& world) {
    const auto found = gatherGpus(world, all[static_cast<size_t>(world.rank())]);
    ASSERT_EQ(found.size(), 3u);
    for (size_t r = 0; r < 3; ++r) {
      EXPECT_EQ(found[r].host, all[r].host);
      EXPECT_EQ(found[r].hostName, all[r].hostName);
      EXPECT_EQ(found[r].problem, all[r].problem);
      EXPECT_EQ(found[r].remedy, all[r].remedy);
      EXPECT_EQ(found[r].uuids, all[r].uuids);
    }
  });
}

}  // namespace
}  // namespace meshplan
