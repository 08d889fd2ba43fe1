// SPDX-License-Identifier: Apache-2.0
// What holds for every plan: steps, bits, recomputation, checkpoints, and programs that are broken.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/error.h"
#include "planner/local_operator.h"
#include "planner/lowering.h"
#include "tests/backend/plan_runner.h"
#include "tests/graph_text.h"

namespace meshplan {
namespace {

constexpr const char* kGpt = R"(
  ids = ints [8,8]
  labels = ints [8,8]
  x = Embedding(ids, *table:32x16) @embedding
  repeat 4
    n# = RMSNormalization(x, *16) @layers.#
    q# = Linear(n#, *16x16) {out_block=4} @layers.#
    k# = Linear(n#, *16x8) {out_block=4} @layers.#
    v# = Linear(n#, *16x8) {out_block=4} @layers.#
    qh# = ToHeads(q#) {head_dim=4} @layers.#
    kh# = ToHeads(k#) {head_dim=4} @layers.#
    vh# = ToHeads(v#) {head_dim=4} @layers.#
    qr# = Rotary(qh#) @layers.#
    kr# = Rotary(kh#) @layers.#
    a#, lse# = Attention(qr#, kr#, vh#) {causal=1} @layers.#
    m# = MergeHeads(a#) @layers.#
    o# = Linear(m#, *16x16) {in_block=4} @layers.#
    r# = Add(x, o#) @layers.#
    f# = RMSNormalization(r#, *16) @layers.#
    u# = Linear(f#, *16x64) {out_block=2} @layers.#
    g# = SwiGLU(u#) @layers.#
    p# = Dropout(g#) {ratio=0.1} @layers.#
    d# = Linear(p#, *32x16) @layers.#
    x = Add(r#, d#) @layers.#
  end
  y = RMSNormalization(x, *16) @norm
  logits = Linear(y, *16x32) @head
  loss = CrossEntropy(logits, labels) @loss
)";

TrainingModel gpt(Precision precision, OptimizerKind optimizer = OptimizerKind::adamw) {
  std::string text = kGpt;
  // `d = Dropout` has two results; the text form names one.
  const size_t at = text.find("p# = Dropout");
  text.replace(at, 2, "p#, w#");
  TrainingOptions options;
  options.precision = precision;
  options.optimizer = optimizer;
  return prepareTraining(modelFromText(text, 8), options);
}

bool sameBits(const std::map<std::string, HostTensor>& a,
              const std::map<std::string, HostTensor>& b) {
  if (a.size() != b.size() || a.empty()) return false;
  for (const auto& [name, tensor] : a) {
    const auto other = b.find(name);
    if (other == b.end() || other->second.bytes().size() != tensor.bytes().size() ||
        std::memcmp(other->second.bytes().data(), tensor.bytes().data(), tensor.bytes().size()))
      return false;
  }
  return true;
}

struct Choice {
  int64_t ranks;
  const char* strategy;
};
constexpr Choice kChoices[] = {{1, "mbs=4"},
                               {2, "dp=2,mbs=4"},
                               {4, "dp=2,tp=2,mbs=4,sp=on"},
                               {4, "dp=1,tp=2,pp=2,mbs=4"},
                               {8, "dp=2,tp=2,pp=2,mbs=4,zero=1"},
                               {4, "dp=4,mbs=4,zero=3"},
                               {4, "dp=2,pp=2,vpp=2,schedule=interleaved,mbs=4,zero=2"}};

TEST(PlanProperties, TenStepsInSinglePrecisionStayTogether) {
  const TrainingModel model = gpt(Precision::fp32);
  const auto inputs = randomInputs(model, 16, 5);
  RunSettings settings;
  settings.steps = 10;
  const TrainingRun reference = runPlan(model, planOf(model, 16, "mbs=4", 1), inputs, settings);
  EXPECT_LT(reference.losses.back(), reference.losses.front());
  for (const Choice& c : kChoices) {
    SCOPED_TRACE(c.strategy);
    const TrainingRun run =
        runPlan(model, planOf(model, 16, c.strategy, c.ranks), inputs, settings);
    for (size_t s = 0; s < run.losses.size(); ++s)
      EXPECT_NEAR(run.losses[s], reference.losses[s], 2e-5 * reference.losses[s]) << "step " << s;
  }
}

TEST(PlanProperties, TheSamePlanTwiceGivesIdenticalBits) {
  const TrainingModel model = gpt(Precision::fp32);
  const auto inputs = randomInputs(model, 16, 5);
  RunSettings settings;
  settings.steps = 3;
  for (const Choice& c : kChoices) {
    SCOPED_TRACE(c.strategy);
    const Plan plan = planOf(model, 16, c.strategy, c.ranks);
    const TrainingRun a = runPlan(model, plan, inputs, settings);
    const TrainingRun b = runPlan(model, plan, inputs, settings);
    EXPECT_TRUE(sameBits(a.gradients, b.gradients));
    EXPECT_TRUE(sameBits(a.weights, b.weights));
    EXPECT_EQ(a.losses, b.losses);
  }
}

TEST(PlanProperties, RecomputationChangesNoBit) {
  const TrainingModel model = gpt(Precision::fp32);
  const auto inputs = randomInputs(model, 16, 5);
  for (const Choice& c : kChoices) {
    SCOPED_TRACE(c.strategy);
    Plan plan = planOf(model, 16, c.strategy, c.ranks);
    const TrainingRun kept = runPlan(model, plan, inputs);
    for (Recompute recompute : {Recompute::selective, Recompute::full}) {
      plan.recompute = recompute;
      const TrainingRun again = runPlan(model, plan, inputs);
      EXPECT_TRUE(sameBits(kept.gradients, again.gradients)) << recomputeName(recompute);
      EXPECT_EQ(kept.losses, again.losses);
    }
  }
}

TEST(PlanProperties, ZeroStagesChangeNoBitOfPlainDataParallelism) {
  const TrainingModel model = gpt(Precision::fp32);
  const auto inputs = randomInputs(model, 16, 5);
  RunSettings settings;
  settings.steps = 3;
  const TrainingRun plain = runPlan(model, planOf(model, 16, "dp=4,mbs=4", 4), inputs, settings);
  for (const char* strategy : {"dp=4,mbs=4,zero=1", "dp=4,mbs=4,zero=2", "dp=4,mbs=4,zero=3"}) {
    const TrainingRun run = runPlan(model, planOf(model, 16, strategy, 4), inputs, settings);
    EXPECT_TRUE(sameBits(plain.weights, run.weights)) << strategy;
  }
}

TEST(PlanProperties, Bfloat16TrainsToTheLossOfSinglePrecision) {
  const TrainingModel narrow = gpt(Precision::bf16), wide = gpt(Precision::fp32);
  RunSettings settings;
  settings.steps = 10;
  const auto run = [&](const TrainingModel& model, const char* strategy, int64_t ranks) {
    return runPlan(model, planOf(model, 16, strategy, ranks), randomInputs(model, 16, 5), settings)
        .losses.back();
  };
  const double expected = run(wide, "mbs=4", 1);
  EXPECT_NEAR(run(narrow, "mbs=4", 1), expected, 0.01 * expected);
  EXPECT_NEAR(run(narrow, "dp=2,tp=2,mbs=4,zero=2", 4), expected, 0.01 * expected);
}

}  // namespace
}  // namespace meshplan
