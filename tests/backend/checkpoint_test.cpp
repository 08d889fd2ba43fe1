// SPDX-License-Identifier: Apache-2.0
#include "backend/checkpoint.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "backend/checksum.h"
#include "backend/comm/in_process.h"
#include "backend/cpu/cpu_device.h"
#include "backend/npy.h"
#include "backend/safetensors.h"
#include "backend/training_run.h"
#include "core/error.h"
#include "planner/lowering.h"
#include "tests/backend/long_tests.h"
#include "tests/backend/plan_runner.h"
#include "tests/graph_text.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

constexpr int64_t kBatch = 8;
constexpr const char* kFingerprint = "0123456789abcdef";

/// Layers of a transformer; `#D` becomes dropout or nothing.
std::string modelText(bool dropout, int hidden = 16) {
  std::string text = R"(
      ids = ints [8,8]
      labels = ints [8,8]
      x = Embedding(ids, *table:32xH) @embedding
      repeat 2
        n# = LayerNormalization(x, *H, *H) @layers.#
        qkv# = Linear(n#, *Hx48) {out_block=12} @layers.#
        q#, k#, v# = SplitHeads(qkv#) {head_dim=4, group=1} @layers.#
        a#, lse# = Attention(q#, k#, v#) {causal=1} @layers.#
        m# = MergeHeads(a#) @layers.#
        o# = Linear(m#, *16xH, *H) {in_block=4} @layers.#
        DROP
        r# = Add(x, p#) @layers.#
        u# = Linear(r#, *Hx64, *64) @layers.#
        g# = Gelu(u#) @layers.#
        d# = Linear(g#, *64xH, *H) @layers.#
        x = Add(r#, d#) @layers.#
      end
      logits = Linear(x, *table) {transposed=1} @head
      loss = CrossEntropy(logits, labels) @loss)";
  const auto replaceAll = [&](const std::string& from, const std::string& to) {
    for (size_t at; (at = text.find(from)) != std::string::npos;) text.replace(at, from.size(), to);
  };
  replaceAll("DROP", dropout ? "p#, mask# = Dropout(o#) {ratio=0.2} @layers.#"
                             : "p# = Identity(o#) @layers.#");
  replaceAll("H,", std::to_string(hidden) + ",");
  replaceAll("H)", std::to_string(hidden) + ")");
  replaceAll("*Hx", fmt::format("*{}x", hidden));
  return text;
}

TrainingModel modelOf(const std::string& text, OptimizerKind optimizer, Precision precision) {
  TrainingOptions options;
  options.precision = precision;
  options.optimizer = optimizer;
  return prepareTraining(modelFromText(text, kBatch), options);
}

/// 20 samples: batches of 8 come from three epochs within ten steps.
std::string samplesIn(const ScratchFolder& folder) {
  const std::string source =
      fmt::format("npy:ids={},labels={}", folder.file("ids.npy"), folder.file("labels.npy"));
  if (std::filesystem::exists(folder.file("labels.npy"))) return source;
  HostTensor ids({DType::i64, {20, 8}});
  const auto values = ids.as<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(i * i * 7 % 32);
  HostTensor labels = ids;
  std::rotate(labels.as<int64_t>().begin(), labels.as<int64_t>().begin() + 1,
              labels.as<int64_t>().end());
  writeNpy(folder.file("ids.npy"), ids);
  writeNpy(folder.file("labels.npy"), labels);
  return source;
}

struct PlanText {
  int64_t ranks;
  const char* strategy;
};

/// The losses of a run.
std::vector<double> train(const TrainingModel& model, PlanText text, TrainingSettings settings,
                          const std::string& fingerprint = kFingerprint) {
  const Plan plan = planOf(model, kBatch, text.strategy, text.ranks);
  const Program program = lower(model, plan, {}, LoweredFor::execution);
  const TrainingTask task{model.graph, program, model.referenceBatch, kBatch, fingerprint};
  settings.optimizer.kind = plan.training.optimizer;
  std::vector<double> losses;
  runInProcess(static_cast<int>(text.ranks), [&](Communicator& world) {
    RankParts parts{std::make_unique<CpuDevice>(1), nullptr};
    trainRank(task, settings, parts, world, [&](const StepReport& report) {
      if (world.rank() == 0) losses.push_back(report.loss);
      return true;
    });
  });
  return losses;
}

std::string bytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

std::map<std::string, HostTensor> tensorsOf(const std::string& path) {
  const SafetensorsFile file(path);
  std::map<std::string, HostTensor> tensors;
  for (const NamedTensor& t : file.tensors())
    tensors.emplace(t.name, file.read(t.name, t.view.type));
  return tensors;
}

constexpr OptimizerKind kOptimizers[] = {OptimizerKind::sgd, OptimizerKind::momentum,
                                         OptimizerKind::adamw};

TrainingSettings settingsOf(const std::string& data, int64_t steps) {
  TrainingSettings settings;
  settings.steps = steps;
  settings.data = data;
  settings.optimizer.learningRate = 0.01;
  settings.optimizer.weightDecay = 0.01;
  settings.seed = 11;
  return settings;
}

/// Ten steps at once, saved as `whole`, and five and five, saved as `half` and `end`.
struct Runs {
  std::vector<double> whole, parts;
};

Runs trainTwice(const ScratchFolder& folder, const TrainingModel& model, PlanText first,
                PlanText second) {
  TrainingSettings settings = settingsOf(samplesIn(folder), 10);
  settings.checkpoint = folder.file("whole");
  Runs runs;
  runs.whole = train(model, first, settings);
  settings.steps = 5;
  settings.checkpoint = folder.file("half");
  runs.parts = train(model, first, settings);
  settings.resume = folder.file("half");
  settings.checkpoint = folder.file("end");
  settings.seed = 99;  // that of the checkpoint holds
  for (double loss : train(model, second, settings)) runs.parts.push_back(loss);
  return runs;
}

TEST(Checkpoint, ResumingUnderTheSamePlanIsBitExact) {
  const PlanText plans[] = {{1, "dp=1,mbs=8"},
                            {1, "dp=1,mbs=2"},
                            {2, "dp=2,mbs=4,zero=3"},
                            {4, "dp=2,tp=2,mbs=4,zero=1"},
                            {4, "tp=2,pp=2,mbs=4"}};
  const ScratchFolder folder;
  int combination = 0;
  for (OptimizerKind optimizer : kOptimizers)
    for (Precision precision : {Precision::fp32, Precision::bf16, Precision::fp64})
      for (PlanText plan : plans) {
        if (combination++ % 4 != 0 && !longTests()) continue;
        SCOPED_TRACE(fmt::format("{} {} {}", optimizerName(optimizer), precisionName(precision),
                                 plan.strategy));
        const TrainingModel model = modelOf(modelText(true), optimizer, precision);
        const Runs runs = trainTwice(folder, model, plan, plan);
        ASSERT_EQ(runs.whole.size(), 10u);
        EXPECT_EQ(runs.whole, runs.parts);
        EXPECT_EQ(std::set<double>(runs.whole.begin(), runs.whole.end()).size(), 10u);
        EXPECT_EQ(bytesOf(folder.file("whole")), bytesOf(folder.file("end")));
      }
}

TEST(Checkpoint, ResumingUnderAnotherPlanAgrees) {
  const PlanText plans[] = {{1, "dp=1,mbs=8"},        {2, "dp=2,mbs=4,zero=3"},
                            {2, "dp=2,mbs=4,zero=1"}, {4, "tp=4,mbs=8,sp=on"},
                            {4, "tp=2,pp=2,mbs=2"},   {2, "pp=2,mbs=1,recompute=full"}};
  double worstLoss = 0, worstTensor = 0;
  int pair = 0;
  const ScratchFolder folder;
  for (OptimizerKind optimizer : kOptimizers) {
    const TrainingModel model = modelOf(modelText(false), optimizer, Precision::fp32);
    for (PlanText first : plans)
      for (PlanText second : plans) {
        if (pair++ % 11 != 0 && !longTests()) continue;
        SCOPED_TRACE(fmt::format("{} {} then {}", optimizerName(optimizer), first.strategy,
                                 second.strategy));
        const Runs runs = trainTwice(folder, model, first, second);
        ASSERT_EQ(runs.parts.size(), 10u);
        for (size_t s = 0; s < 10; ++s)
          worstLoss = std::max(worstLoss, std::abs(runs.parts[s] / runs.whole[s] - 1));
        std::string where;
        const double tensor =
            worstDifference(tensorsOf(folder.file("whole")), tensorsOf(folder.file("end")), &where);
        EXPECT_LE(tensor, 2e-5) << where;
        worstTensor = std::max(worstTensor, tensor);
      }
  }
  EXPECT_LE(worstLoss, 2e-5);
  fmt::print("losses within {:.1e}, weights and state within {:.1e}\n", worstLoss, worstTensor);
}

TEST(Checkpoint, KeepsOnlyTheStateThatTheOptimizerHas) {
  const ScratchFolder folder;
  TrainingSettings settings = settingsOf(samplesIn(folder), 1);
  settings.checkpoint = folder.file("c");
  for (OptimizerKind optimizer : kOptimizers) {
    const TrainingModel model = modelOf(modelText(false), optimizer, Precision::fp32);
    train(model, {1, "dp=1"}, settings);
    std::set<std::string> names, expected;
    for (const auto& [name, tensor] : tensorsOf(settings.checkpoint)) names.insert(name);
    for (size_t t = 0; t < model.graph.tensorCount(); ++t) {
      if (!model.updateOf[t].valid()) continue;
      const std::string& name = model.graph.tensor(TensorId(t)).name;
      expected.insert(name);
      if (optimizer != OptimizerKind::sgd) expected.insert(name + ".momentum");
      if (optimizer == OptimizerKind::adamw) expected.insert(name + ".variance");
    }
    EXPECT_GT(expected.size(), 10u);
    EXPECT_EQ(names, expected);
  }
}

TEST(Checkpoint, IsSavedEveryFewStepsAndAtTheEnd) {
  const ScratchFolder folder;
  const TrainingModel model = modelOf(modelText(false), OptimizerKind::sgd, Precision::fp32);
  TrainingSettings settings = settingsOf(samplesIn(folder), 5);
  settings.checkpoint = folder.file("c");
  settings.checkpointEvery = 2;
  train(model, {1, "dp=1"}, settings);
  EXPECT_EQ(SafetensorsFile(settings.checkpoint).metadata().at("step"), "5");
  settings.resume = settings.checkpoint;
  settings.steps = 3;
  train(model, {1, "dp=1"}, settings);
  EXPECT_EQ(SafetensorsFile(settings.checkpoint).metadata().at("step"), "8");
}

TEST(Checkpoint, ItsWeightsStartAnotherRunInAnyFloatingPointType) {
  const ScratchFolder folder;
  TrainingSettings settings = settingsOf(samplesIn(folder), 3);
  settings.checkpoint = folder.file("c");
  const auto in = [](Precision precision) {
    return modelOf(modelText(false), OptimizerKind::adamw, precision);
  };
  train(in(Precision::fp64), {1, "dp=1"}, settings);
  settings.weights = settings.checkpoint;
  settings.checkpoint.clear();
  settings.steps = 1;
  const double exact = train(in(Precision::fp64), {1, "dp=1"}, settings)[0];
  EXPECT_NEAR(train(in(Precision::fp32), {1, "dp=1"}, settings)[0], exact, 1e-6 * exact);
  EXPECT_NEAR(train(in(Precision::bf16), {2, "dp=2,zero=1"}, settings)[0], exact, 1e-2 * exact);
}

/// A saved run and what becomes of it when the file or the model is wrong.
class DamagedCheckpoint : public testing::Test {
 protected:
  DamagedCheckpoint() : settings_(settingsOf(samplesIn(folder_), 1)) {
    settings_.checkpoint = folder_.file("c");
    train(model_, {1, "dp=1"}, settings_);
    bytes_ = bytesOf(settings_.checkpoint);
    settings_.checkpoint.clear();
  }

  std::optional<Error> resuming(const std::string& bytes, PlanText plan = {1, "dp=1"}) {
    settings_.resume = folder_.write("damaged", bytes);
    return resuming(model_, plan);
  }
  std::optional<Error> resuming(const TrainingModel& model, PlanText plan,
                                const std::string& fingerprint = kFingerprint) {
    try {
      train(model, plan, settings_, fingerprint);
    } catch (const Error& e) {
      return e;
    }
    return {};
  }

  ScratchFolder folder_;
  TrainingModel model_ = modelOf(modelText(false), OptimizerKind::adamw, Precision::fp32);
  TrainingSettings settings_;
  std::string bytes_;
};

TEST_F(DamagedCheckpoint, IsOneErrorWhereverItIsCutOff) {
  for (size_t length = 0; length < bytes_.size(); length += 1 + length / 8) {
    const auto error = resuming(bytes_.substr(0, length));
    ASSERT_TRUE(error) << length;
    EXPECT_EQ(error->kind(), ErrorKind::input) << error->what();
    EXPECT_EQ(error->file(), folder_.file("damaged"));
    EXPECT_FALSE(error->remedy().empty());
  }
  EXPECT_FALSE(resuming(bytes_));
}

TEST_F(DamagedCheckpoint, IsOneErrorWhereverABitFlips) {
  uint64_t header = 0;
  std::memcpy(&header, bytes_.data(), sizeof header);
  size_t unnoticed = 0, flips = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    const uint64_t random = checksum(std::to_string(i));
    const size_t space = i % 2 ? 8 + header : bytes_.size();
    std::string damaged = bytes_;
    const size_t at = random % space;
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << random / space % 8);
    const auto error = resuming(damaged);
    ++flips;
    if (error) {
      EXPECT_EQ(error->kind(), ErrorKind::input) << error->what();
      continue;
    }
    // Nothing depends on the padding behind the header and the mark of who wrote the file.
    const bool padding = at >= bytes_.find_last_of('}', 8 + header) && at < 8 + header;
    const size_t format = bytes_.find("\"format\":\"meshplan\"");
    EXPECT_TRUE(padding || (at >= format && at < format + 19)) << bytes_.substr(at - 20, 40);
    ++unnoticed;
  }
  fmt::print("{} of {} flipped bits make no difference\n", unnoticed, flips);
}

TEST_F(DamagedCheckpoint, IsNamedOnEveryPlan) {
  std::string damaged = bytes_;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  for (PlanText plan : {PlanText{2, "dp=2,zero=3"}, PlanText{4, "tp=2,pp=2"}}) {
    const auto error = resuming(damaged, plan);
    ASSERT_TRUE(error);
    EXPECT_THAT(error->what(), HasSubstr("is damaged: its checksum differs"));
  }
}

TEST_F(DamagedCheckpoint, OfAnotherModelOrOptimizerOrPrecisionIsRefused) {
  settings_.resume = folder_.write("c", bytes_);
  const auto other = resuming(model_, {1, "dp=1"}, "fedcba9876543210");
  ASSERT_TRUE(other);
  EXPECT_THAT(other->what(), HasSubstr("this is a checkpoint of another model"));

  const TrainingModel wider = modelOf(modelText(false, 32), OptimizerKind::adamw, Precision::fp32);
  const auto shape = resuming(wider, {1, "dp=1"});
  ASSERT_TRUE(shape);
  EXPECT_THAT(shape->what(), HasSubstr("is fp32[32,16], not fp32[32,32]"));

  const TrainingModel mixed = modelOf(modelText(false), OptimizerKind::adamw, Precision::bf16);
  const auto precision = resuming(mixed, {1, "dp=1"});
  ASSERT_TRUE(precision);
  EXPECT_THAT(precision->what(), HasSubstr("is of another precision"));

  TrainingSettings plain = settingsOf(samplesIn(folder_), 1);
  plain.checkpoint = settings_.resume;
  train(modelOf(modelText(false), OptimizerKind::sgd, Precision::fp32), {1, "dp=1"}, plain);
  const auto optimizer = resuming(model_, {1, "dp=1"});
  ASSERT_TRUE(optimizer);
  EXPECT_THAT(optimizer->what(), HasSubstr("--optimizer"));
}

TEST_F(DamagedCheckpoint, WeightsOfAnotherProgramAreNotResumed) {
  const auto tensors = tensorsOf(folder_.write("c", bytes_));
  std::vector<NamedTensor> weights;
  for (const auto& [name, tensor] : tensors) weights.push_back({name, tensor.view()});
  settings_.resume = folder_.file("weights");
  writeSafetensors(settings_.resume, weights, {{"format", "pt"}});
  const auto error = resuming(model_, {1, "dp=1"});
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), HasSubstr("use it as --weights"));
}

TEST_F(DamagedCheckpoint, WeightsOfAnotherProgramMayHaveTheirHeadsInAnotherOrder) {
  const auto tensors = tensorsOf(folder_.write("c", bytes_));
  std::vector<NamedTensor> weights;
  for (const auto& [name, tensor] : tensors) weights.push_back({name, tensor.view()});
  settings_.weights = folder_.file("weights");
  const auto reading = [&](const std::string& format) -> std::optional<Error> {
    writeSafetensors(settings_.weights, weights, {{"format", format}});
    try {
      train(model_, {2, "tp=2"}, settings_);
    } catch (const Error& e) {
      return e;
    }
    return {};
  };
  const auto error = reading("pt");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::input);
  EXPECT_THAT(error->what(), AllOf(HasSubstr("qkv0"), HasSubstr("another order")));
  EXPECT_FALSE(reading("meshplan"));
}

TEST(Checkpoint, ThatCannotBeWrittenIsAnErrorOnEveryRank) {
  const ScratchFolder folder;
  const TrainingModel model = modelOf(modelText(false), OptimizerKind::sgd, Precision::fp32);
  TrainingSettings settings = settingsOf(samplesIn(folder), 1);
  settings.checkpoint = folder.file("no/such/folder/c");
  try {
    train(model, {2, "dp=2"}, settings);
    FAIL() << "written";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::runtime);
    EXPECT_THAT(e.what(), testing::AnyOf(HasSubstr("cannot be created"),
                                         HasSubstr("could not write the checkpoint")));
  }
}

}  // namespace
}  // namespace meshplan
