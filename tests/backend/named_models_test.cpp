// SPDX-License-Identifier: Apache-2.0
// Models by name in small sizes: every family trains on ranks, and as one device would.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/import/load_model.h"
#include "tests/backend/plan_runner.h"

namespace meshplan {
namespace {

struct Family {
  const char* name;
  std::map<std::string, std::string> settings;
  std::vector<const char*> strategies;  // on four ranks
};

const std::map<std::string, std::string> kSmall = {
    {"layers", "2"}, {"hidden", "32"}, {"heads", "4"}, {"ffn", "64"}, {"vocab", "64"}};

std::map<std::string, std::string> smallAnd(std::map<std::string, std::string> more) {
  more.insert(kSmall.begin(), kSmall.end());
  return more;
}

const std::vector<const char*> kDense = {"dp=4,zero=3", "tp=4,sp=off", "tp=2,dp=2,zero=1,sp=on",
                                         "pp=2,tp=2,mbs=2,recompute=full"};
const std::vector<const char*> kExperts = {"dp=4,ep=4", "dp=4,ep=2,zero=2", "tp=4",
                                           "dp=2,ep=2,pp=2,mbs=1"};

const Family kFamilies[] = {
    {"gpt2", smallAnd({{"dropout", "0"}}), kDense},
    {"bert-base", smallAnd({{"dropout", "0"}}), kDense},
    {"t5-base", smallAnd({{"dropout", "0"}}), kDense},
    {"llama3-8b", smallAnd({{"kv_heads", "2"}}), kDense},
    {"vit-b16",
     {{"layers", "2"}, {"hidden", "32"}, {"heads", "4"}, {"ffn", "64"}, {"dropout", "0"}},
     kDense},
    {"mixtral-8x7b", smallAnd({{"kv_heads", "2"}}), kExperts},
    {"qwen3-30b-a3b",
     smallAnd({{"kv_heads", "2"}, {"moe_intermediate_size", "16"}, {"num_experts", "8"}}),
     kExperts},
    {"deepseek-v3",
     smallAnd({{"kv_heads", "4"},
               {"n_routed_experts", "8"},
               {"num_experts_per_tok", "2"},
               {"moe_intermediate_size", "16"},
               {"first_k_dense_replace", "1"},
               {"q_lora_rank", "16"},
               {"kv_lora_rank", "8"},
               {"qk_rope_head_dim", "4"},
               {"qk_nope_head_dim", "4"},
               {"v_head_dim", "8"}}),
     kExperts},
    {"mlp", {}, {"dp=4,zero=3", "tp=4", "pp=2,dp=2,mbs=1", "pp=3,mbs=2,tp=1"}},
    {"cnn", {}, {"dp=4", "tp=2,dp=2", "pp=4,mbs=1", "tp=4"}},
};

void PrintTo(const Family& family, std::ostream* out) {
  *out << family.name;
}

class NamedModels : public testing::TestWithParam<Family> {};

TEST_P(NamedModels, TrainAsOnOneDevice) {
  constexpr int64_t kGlobalBatch = 8;
  ModelRequest request;
  request.source = GetParam().name;
  request.settings = GetParam().settings;
  if (GetParam().settings.count("vocab")) request.sequence = 8;
  TrainingOptions options;
  options.precision = Precision::fp64;
  options.optimizer = OptimizerKind::sgd;
  const TrainingModel model = prepareTraining(loadModel(request), options);
  const auto inputs = randomInputs(model, kGlobalBatch, 3);
  const TrainingRun one = runPlan(model, planOf(model, kGlobalBatch, "dp=1,mbs=8", 1), inputs);
  for (const char* strategy : GetParam().strategies) {
    SCOPED_TRACE(strategy);
    const bool three = std::string(strategy).find("pp=3") != std::string::npos;
    const Plan plan = planOf(model, kGlobalBatch, strategy, three ? 3 : 4);
    const TrainingRun run = runPlan(model, plan, inputs);
    EXPECT_NEAR(run.losses[0], one.losses[0], 1e-12 * one.losses[0]);
    std::string where;
    EXPECT_LT(worstDifference(one.gradients, run.gradients, &where), 1e-11) << where;
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, NamedModels, testing::ValuesIn(kFamilies), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace meshplan
