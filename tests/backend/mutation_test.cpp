// SPDX-License-Identifier: Apache-2.0
// Programs with one instruction dropped, doubled, or swapped with one that it waits for: the
// validator, the executor or the comparison of results must notice.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "planner/lowering.h"
#include "tests/backend/long_tests.h"
#include "tests/backend/plan_runner.h"
#include "tests/graph_text.h"

namespace meshplan {
namespace {

constexpr const char* kModel = R"(
  ids = ints [4,4]
  labels = ints [4,4]
  x = Embedding(ids, *table:8x8) @embedding
  repeat 2
    n# = LayerNormalization(x, *8, *8) @layers.#
    u# = Linear(n#, *8x16, *16) @layers.#
    g# = Gelu(u#) @layers.#
    d# = Linear(g#, *16x8, *8) @layers.#
    x = Add(x, d#) @layers.#
  end
  logits = Linear(x, *table) {transposed=1} @head
  loss = CrossEntropy(logits, labels) @loss
)";

void drop(Routine& routine, size_t index) {
  routine.instructions.erase(routine.instructions.begin() + static_cast<long>(index));
  routine.bindings.erase(routine.bindings.begin() + static_cast<long>(index));
  for (size_t i = index; i < routine.instructions.size(); ++i) {
    auto& waits = routine.instructions[i].waits;
    waits.erase(std::remove(waits.begin(), waits.end(), index), waits.end());
    for (uint32_t& w : waits) w -= w > index;
  }
}

void duplicate(Routine& routine, size_t index) {
  for (size_t i = index + 1; i < routine.instructions.size(); ++i)
    for (uint32_t& w : routine.instructions[i].waits) w += w > index;
  const auto at = static_cast<long>(index);
  routine.instructions.insert(routine.instructions.begin() + at + 1, routine.instructions[index]);
  routine.bindings.insert(routine.bindings.begin() + at + 1, routine.bindings[index]);
}

/// Exchanges an instruction with an earlier one that it waits for.
void swapWith(Routine& routine, size_t later, size_t earlier) {
  std::swap(routine.instructions[later], routine.instructions[earlier]);
  std::swap(routine.bindings[later], routine.bindings[earlier]);
  for (size_t i = 0; i < routine.instructions.size(); ++i) {
    auto& waits = routine.instructions[i].waits;
    for (uint32_t& w : waits) w = w == later ? earlier : w == earlier ? later : w;
    waits.erase(std::remove_if(waits.begin(), waits.end(), [&](uint32_t w) { return w >= i; }),
                waits.end());
  }
}

struct Mutation {
  std::string name;
  std::function<void(Program&)> apply;
};

std::vector<Mutation> mutationsOf(const Program& program) {
  std::vector<Mutation> all;
  for (size_t r = 0; r < program.routines.size(); ++r)
    for (size_t i = 0; i < program.routines[r].instructions.size(); ++i) {
      const std::string at = fmt::format("routine {} instruction {}", r, i);
      all.push_back({"drop " + at, [=](Program& p) { drop(p.routines[r], i); }});
      all.push_back({"double " + at, [=](Program& p) { duplicate(p.routines[r], i); }});
      for (uint32_t w : program.routines[r].instructions[i].waits)
        all.push_back({fmt::format("swap {} with {}", at, w),
                       [=](Program& p) { swapWith(p.routines[r], i, w); }});
    }
  return all;
}

/// Two steps: what the update does shows in the second.
bool isCaught(const TrainingModel& model, const Plan& plan,
              const std::map<uint32_t, HostTensor>& inputs, const TrainingRun& right,
              const Mutation& mutation) {
  RunSettings settings;
  settings.steps = 2;
  settings.change = mutation.apply;
  try {
    const TrainingRun run = runPlan(model, plan, inputs, settings);
    return !(worstDifference(right.gradients, run.gradients) < 1e-12 &&
             worstDifference(right.weights, run.weights) < 1e-12 &&
             std::abs(run.losses[1] - right.losses[1]) < 1e-12);
  } catch (const Error&) {
    return true;
  }
}

TEST(Mutations, OfAProgramAreCaught) {
  TrainingOptions options;
  options.precision = Precision::fp64;
  options.optimizer = OptimizerKind::momentum;
  const TrainingModel model = prepareTraining(modelFromText(kModel, 4), options);
  const auto inputs = randomInputs(model, 8, 3);
  RunSettings settings;
  settings.steps = 2;
  int tried = 0, caught = 0;
  for (const auto& [strategy, ranks] : {std::pair<const char*, int64_t>{"dp=2,tp=2,pp=2,mbs=2", 8},
                                        {"dp=4,mbs=1,zero=3,recompute=full", 4},
                                        {"dp=2,pp=2,mbs=2,zero=1,schedule=gpipe", 4},
                                        {"tp=4,mbs=4,sp=on", 4}}) {
    const Plan plan = planOf(model, 8, strategy, ranks);
    const TrainingRun right = runPlan(model, plan, inputs, settings);
    const auto mutations = mutationsOf(lower(model, plan, {}, LoweredFor::execution));
    for (size_t m = 0; m < mutations.size(); m += longTests() ? 1 : 7) {
      ++tried;
      if (isCaught(model, plan, inputs, right, mutations[m]))
        ++caught;
      else
        fmt::print("not noticed under {}: {}\n", strategy, mutations[m].name);
    }
  }
  fmt::print("{} of {} mutations caught\n", caught, tried);
  EXPECT_GE(caught, 0.99 * tried);
}

}  // namespace
}  // namespace meshplan
