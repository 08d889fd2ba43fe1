// SPDX-License-Identifier: Apache-2.0
#include "core/plan_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "core/import/load_model.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

struct Fixture {
  Model model;
  BlockChain chain;
  PlanFile file;
};

/// A plan of a small GPT in which every operator takes some axis of its nest.
Fixture gptPlan() {
  ModelRequest request;
  request.source = "gpt2";
  request.sequence = 64;
  request.settings = {{"layers", "3"}};
  Fixture f{loadModel(request), {}, {}};
  const Graph& graph = f.model.graph;
  f.chain = findBlocks(graph, graph.operatorCount());
  Plan& plan = f.file.plan;
  plan.mesh = {.tensor = 2, .expert = 1, .data = 4, .pipeline = 2};
  plan.globalBatch = 64;
  plan.microBatch = 2;
  plan.schedule = ScheduleKind::interleaved;
  plan.virtualStages = 2;
  plan.recompute = Recompute::selective;
  plan.zeroStage = 1;
  plan.training.precision = Precision::fp16;
  plan.training.optimizer = OptimizerKind::momentum;
  plan.chunkStarts = {0, 1, 2, 3, static_cast<int64_t>(f.chain.blocks.size())};
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const OpId id(i);
    const auto inputs = graph.inputTypes(id), outputs = graph.outputTypes(id);
    const LoopNest nest = graph.op(id).def->nest({graph.op(id).attributes, inputs, outputs});
    const auto choices = static_cast<int>(nest.axes.size()) + 2;
    plan.strategies.push_back({static_cast<int8_t>(static_cast<int>(i) % choices - 2),
                               static_cast<int8_t>(static_cast<int>(i * 7 + 1) % choices - 2)});
  }
  f.file.model = request;
  f.file.clusterJson = "{\"name\":\"any\"}";
  f.file.graphFingerprint = fingerprintText(graphFingerprint(graph, graph.operatorCount()));
  f.file.memoryLimit = Bytes(70 * kGiB);
  f.file.predictedStepTime = Seconds(1.25);
  f.file.predictedPeakMemory = Bytes(12345);
  f.file.shardings = describeShardings(plan, graph, f.chain);
  return f;
}

TEST(PlanJson, AWrittenPlanIsReadAsTheSame) {
  const Fixture f = gptPlan();
  const PlanFile read = planFromJson(planToJson(f.file), "plan.json");
  EXPECT_EQ(read.plan.mesh, f.file.plan.mesh);
  EXPECT_EQ(read.plan.globalBatch, 64);
  EXPECT_EQ(read.plan.microBatch, 2);
  EXPECT_EQ(read.plan.schedule, ScheduleKind::interleaved);
  EXPECT_EQ(read.plan.virtualStages, 2);
  EXPECT_EQ(read.plan.recompute, Recompute::selective);
  EXPECT_EQ(read.plan.zeroStage, 1);
  EXPECT_EQ(read.plan.training.precision, Precision::fp16);
  EXPECT_EQ(read.plan.training.optimizer, OptimizerKind::momentum);
  EXPECT_EQ(read.plan.chunkStarts, f.file.plan.chunkStarts);
  EXPECT_EQ(read.model.source, "gpt2");
  EXPECT_EQ(read.model.sequence, 64);
  EXPECT_EQ(read.model.settings, f.file.model.settings);
  EXPECT_EQ(read.memoryLimit, Bytes(70 * kGiB));
  EXPECT_EQ(read.predictedStepTime, Seconds(1.25));
  EXPECT_EQ(read.shardings, f.file.shardings);
  EXPECT_EQ(planToJson(read), planToJson(f.file));
  EXPECT_EQ(resolveShardings(read.shardings, f.model.graph, f.chain), f.file.plan.strategies);
}

TEST(PlanJson, EqualBlocksAreWrittenOnce) {
  Fixture f = gptPlan();
  for (OperatorStrategy& s : f.file.plan.strategies) s = {};
  const auto shardings = describeShardings(f.file.plan, f.model.graph, f.chain);
  EXPECT_EQ(shardings.size(), f.chain.classes.size());
  EXPECT_LT(shardings.size(), f.chain.blocks.size());
}

/// The message of the refusal of a plan file after `change` has edited its text.
std::string refusal(const std::string& what, const std::string& with) {
  std::string text = planToJson(gptPlan().file);
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  text.replace(at, what.size(), with);
  try {
    planFromJson(text, "plan.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  ADD_FAILURE() << "accepted " << with;
  return {};
}

TEST(PlanJson, BadPlansAreRefusedWithTheirPlace) {
  EXPECT_THAT(refusal("\"micro_batch\"", "\"micro_bach\""), HasSubstr("micro_batch"));
  EXPECT_THAT(refusal("\"schema_version\": 1", "\"schema_version\": 2"), HasSubstr("version 2"));
  EXPECT_THAT(refusal("\"global_batch\": 64", "\"global_batch\": -1"), HasSubstr("global_batch"));
  EXPECT_THAT(refusal("\"tensor\": 2", "\"tensor\": 0"), HasSubstr("plan.mesh.tensor"));
  EXPECT_THAT(refusal("\"tensor\": 2", "\"tensor\": 1e300"), HasSubstr("plan.mesh.tensor"));
  EXPECT_THAT(refusal("\"interleaved\"", "\"zigzag\""), HasSubstr("gpipe, 1f1b, interleaved"));
  EXPECT_THAT(refusal("\"blocks\": \"", "\"blocks\": \"x"), HasSubstr("shardings[0].blocks"));
  EXPECT_THAT(refusal("\"blocks\": \"", "\"blocks\": \"0-4000000000,"), HasSubstr("blocks"));
  EXPECT_THAT(refusal("\"cluster\"", "\"clutser\""), HasSubstr("cluster"));
}

TEST(PlanJson, ShardingsOfAnotherModelAreRefused) {
  const Fixture f = gptPlan();
  const auto refused = [&](const std::function<void(std::vector<BlockSharding>&)>& change) {
    std::vector<BlockSharding> shardings = f.file.shardings;
    change(shardings);
    try {
      resolveShardings(shardings, f.model.graph, f.chain);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refused([](auto& s) { s[0].blocks[0] = 99; }), HasSubstr("not in the model"));
  EXPECT_THAT(refused([](auto& s) { s.push_back(s[0]); }), HasSubstr("listed twice"));
  EXPECT_THAT(refused([](auto& s) { s.pop_back(); }), HasSubstr("missing"));
  EXPECT_THAT(refused([](auto& s) { s[0].choices[0].tensor = "voca"; }), HasSubstr("vocab"));
  EXPECT_THAT(refused([](auto& s) { s[0].choices.pop_back(); }), HasSubstr("operators"));
}

}  // namespace
}  // namespace meshplan
