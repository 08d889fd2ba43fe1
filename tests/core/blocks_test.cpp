// SPDX-License-Identifier: Apache-2.0
#include "core/blocks.h"

#include <gmock/gmock.h>

#include "core/backward.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

TEST(Blocks, FoldATransformerIntoItsLayers) {
  const Graph graph = trainingGraph(modelFromText(kGpt, 2).graph, {});
  const BlockChain chain = findBlocks(graph, forwardCount(graph));
  int repeated = 0;
  for (const BlockClass& c : chain.classes)
    if (c.count > 1) {
      ++repeated;
      EXPECT_EQ(c.count, 4u);
      EXPECT_EQ(blockName(graph, chain.blocks[c.first]), "layers.0");
      EXPECT_EQ(chain.blocks[c.first].size(), 12u);
    }
  EXPECT_EQ(repeated, 1);
}

TEST(Blocks, CoverEveryOperatorOnceInOrder) {
  const Graph graph = trainingGraph(modelFromText(kGpt, 2).graph, {});
  const size_t forward = forwardCount(graph);
  const BlockChain chain = findBlocks(graph, forward);
  uint32_t at = 0;
  for (const Block& b : chain.blocks) {
    EXPECT_EQ(b.begin, at);
    EXPECT_LT(b.begin, b.end);
    at = b.end;
  }
  EXPECT_EQ(at, forward);
  for (size_t i = 0; i < forward; ++i) {
    const Block& b = chain.blocks[chain.blockOf(OpId(i))];
    EXPECT_TRUE(b.begin <= i && i < b.end);
  }
}

TEST(Blocks, OneActivationCrossesBetweenLayersAndNoneAtTheEnd) {
  const Graph graph = trainingGraph(modelFromText(kGpt, 2).graph, {});
  const BlockChain chain = findBlocks(graph, forwardCount(graph));
  for (size_t i = 0; i + 1 < chain.blocks.size(); ++i) EXPECT_EQ(chain.crossing[i].size(), 1u) << i;
  EXPECT_TRUE(chain.crossing.back().empty());
}

TEST(Blocks, AnEncodersOutputDoesNotStopCutsInTheDecoder) {
  std::string text =
      "x = input [2,16,32]\nt = input [2,16,32]\ne = Linear(x, *32x32)\ny = Relu(e)\n";
  text +=
      "repeat 40\n  a# = Linear(y, *32x32)\n  b# = Add(a#, e)\n  y = Relu(b#)\nend\nloss = "
      "MeanSquaredError(y, t)";
  const Graph graph = trainingGraph(modelFromText(text, 2).graph, {});
  const BlockChain chain = findBlocks(graph, forwardCount(graph));
  EXPECT_GE(chain.blocks.size(), 40u);
  size_t twoCross = 0;
  for (const auto& c : chain.crossing) twoCross += c.size() == 2;
  EXPECT_GE(twoCross, 38u);
}

TEST(Blocks, AFingerprintSeesAttributesAndTypesButNotNames) {
  const auto fingerprint = [](const std::string& text) {
    const Graph g = modelFromText(text, 2).graph;
    return graphFingerprint(g, g.operatorCount());
  };
  const uint64_t base = fingerprint("x = input [2,8]\ny = Linear(x, *8x8)");
  EXPECT_EQ(base, fingerprint("z = input [2,8]\nq = Linear(z, *8x8)"));
  EXPECT_NE(base, fingerprint("x = input [2,8]\ny = Linear(x, *8x16)"));
  EXPECT_NE(base, fingerprint("x = input [2,8]\ny = Linear(x, *8x8) {out_block=2}"));
}

}  // namespace
}  // namespace meshplan
