// SPDX-License-Identifier: Apache-2.0
// Random models under random valid plans: no deadlock, arenas as planned (the executor checks its
// own), sends that match receives (the validator), and the gradients of one device.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "tests/backend/long_tests.h"
#include "tests/backend/plan_runner.h"
#include "tests/graph_text.h"

namespace meshplan {
namespace {

/// A stack of random layers on [8, 8, 16], with residuals that reach over one or two of them.
std::string randomModel(std::mt19937& random) {
  const auto below = [&](uint32_t n) { return random() % n; };
  std::string text = "x0 = input [8,8,16]\nlabels = ints [8,8]\n";
  int at = 0, last = 0;
  const auto emit = [&](const std::string& expression) {
    text += fmt::format("x{} = {}\n", ++last, expression);
    return fmt::format("x{}", last);
  };
  const int layers = 2 + static_cast<int>(below(4));
  for (int i = 0; i < layers; ++i) {
    const std::string x = fmt::format("x{}", at);
    std::string y = emit(below(2) ? fmt::format("LayerNormalization({}, *16, *16)", x)
                                  : fmt::format("RMSNormalization({}, *16)", x));
    switch (below(4)) {
      case 0: {
        const int width = 16 << below(3);
        y = emit(fmt::format("Linear({}, *16x{}, *{})", y, width, width));
        y = emit(fmt::format("{}({})", below(2) ? "Gelu" : "Silu", y));
        y = emit(fmt::format("Linear({}, *{}x16{})", y, width, below(2) ? ", *16" : ""));
        break;
      }
      case 1: {
        y = emit(fmt::format("Linear({}, *16x48, *48) {{out_block=12}}", y));
        text += fmt::format("q{0}, k{0}, v{0} = SplitHeads({1}) {{head_dim=4, group=1}}\n", i, y);
        text +=
            fmt::format("a{0}, l{0} = Attention(q{0}, k{0}, v{0}) {{causal={1}}}\n", i, below(2));
        y = emit(fmt::format("MergeHeads(a{})", i));
        y = emit(fmt::format("Linear({}, *16x16) {{in_block=4}}", y));
        break;
      }
      case 2: {
        const std::string a = emit(fmt::format("Linear({}, *16x32)", y));
        const std::string b = emit(fmt::format("Linear({}, *16x32)", y));
        y = emit(fmt::format("Mul({}, {})", emit(fmt::format("Sigmoid({})", a)), b));
        y = emit(fmt::format("Linear({}, *32x16, *16)", y));
        break;
      }
      default:
        y = emit(fmt::format("Scale({}) {{factor=0.5}}", y));
    }
    y = emit(fmt::format("Add({}, {})", x, y));
    at = last;
  }
  text += fmt::format("logits = Linear(x{}, *16x8, *8)\nloss = CrossEntropy(logits, labels)\n", at);
  return text;
}

std::string randomStrategy(std::mt19937& random, int64_t& ranks) {
  const auto power = [&] { return int64_t{1} << random() % 3; };
  int64_t dp, tp, pp;
  do {
    dp = power(), tp = power(), pp = power();
  } while (dp * tp * pp > 8);
  ranks = dp * tp * pp;
  static constexpr const char* kRecompute[] = {"none", "selective", "full"};
  std::string text =
      fmt::format("dp={},tp={},pp={},mbs={},zero={},recompute={}", dp, tp, pp,
                  int64_t{1} << random() % 3, dp > 1 ? random() % 4 : 0, kRecompute[random() % 3]);
  if (pp > 1) text += random() % 2 ? ",schedule=1f1b" : ",schedule=gpipe";
  return text;
}

TEST(RandomPlans, OfRandomModelsEqualOneDevice) {
  std::mt19937 random(20261121);
  const int wanted = longTests() ? 1000 : 60;
  int ran = 0, impossible = 0;
  while (ran < wanted) {
    TrainingOptions options;
    options.precision = Precision::fp64;
    const std::string text = randomModel(random);
    const TrainingModel model = prepareTraining(modelFromText(text, 8), options);
    int64_t ranks = 1;
    const std::string strategy = randomStrategy(random, ranks);
    SCOPED_TRACE(text + strategy);
    Plan plan;
    try {
      plan = randomPlanOf(model, 16, strategy, ranks, random());
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::usage) << e.what();
      ASSERT_LT(++impossible, 10 * wanted);
      continue;
    }
    const auto inputs = randomInputs(model, 16, random());
    const TrainingRun alone = runPlan(model, planOf(model, 16, "mbs=16", 1), inputs);
    TrainingRun run;
    ASSERT_NO_THROW(run = runPlan(model, plan, inputs));
    std::string where;
    ASSERT_NEAR(run.losses[0], alone.losses[0], 1e-12 * alone.losses[0]);
    ASSERT_LT(worstDifference(alone.gradients, run.gradients, &where), 1e-12) << where;
    ++ran;
  }
  fmt::print("{} random plans equal one device, {} strategies do not exist\n", ran, impossible);
}

}  // namespace
}  // namespace meshplan
