// SPDX-License-Identifier: Apache-2.0
#include "core/nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace meshplan {
namespace {

constexpr std::array<std::string_view, 4> kNames{"llama", "mistral", "mixtral", "qwen3_moe"};

TEST(Nearest, DistanceCountsEditsAndSwaps) {
  EXPECT_EQ(editDistance("llama", "llama"), 0u);
  EXPECT_EQ(editDistance("lama", "LLaMA"), 1u);
  EXPECT_EQ(editDistance("lalma", "llama"), 1u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
}

TEST(Nearest, TheClosestNameComesFirst) {
  EXPECT_THAT(nearestNames("mixtrl", kNames), testing::ElementsAre("mixtral", "mistral"));
  EXPECT_THAT(nearestNames("qwen3", kNames), testing::ElementsAre("qwen3_moe"));
  EXPECT_THAT(nearestNames("resnet50", kNames), testing::IsEmpty());
}

TEST(Nearest, TheRemedyIsAQuestionOrTheAlternative) {
  EXPECT_EQ(didYouMean("mixtrl", kNames), "did you mean 'mixtral' or 'mistral'?");
  EXPECT_EQ(didYouMean("zzzzzzzz", kNames, "see the list"), "see the list");
}

}  // namespace
}  // namespace meshplan
