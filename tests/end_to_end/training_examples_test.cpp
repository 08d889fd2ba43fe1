// SPDX-License-Identifier: Apache-2.0
// The shipped training examples (examples/train.sh) under plans of every kind.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/backend/long_tests.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

const std::string kBinaries = MESHPLAN_BINARY_DIR;
const std::string kText = MESHPLAN_SOURCE_DIR "/LICENSE";

std::string bytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int drawDigits(const std::string& arguments) {
  const std::string program = kBinaries + "/examples/make_digits";
  return WEXITSTATUS(std::system(fmt::format("'{}' {} 2>/dev/null", program, arguments).c_str()));
}

std::string digits(const std::string& folder, const std::string& set) {
  return fmt::format("idx:{0}/{1}-images-idx3-ubyte,{0}/{1}-labels-idx1-ubyte", folder, set);
}

std::vector<double> lossesOf(const std::string& arguments) {
  const CommandResult result = runMeshplan("run " + arguments + " --threads 1 --format json");
  EXPECT_EQ(result.exitCode, 0) << arguments << "\n" << result.err;
  std::vector<double> losses;
  if (result.exitCode != 0) return losses;
  const nlohmann::json report = nlohmann::json::parse(result.out);
  for (const auto& step : report.at("steps")) losses.push_back(step.at("loss"));
  return losses;
}

double meanOf(const double* begin, const double* end) {
  double sum = 0;
  for (const double* v = begin; v != end; ++v) sum += *v;
  return sum / static_cast<double>(end - begin);
}

/// Of the last losses, as single batches differ in difficulty.
double finalLoss(const std::vector<double>& losses, int64_t count) {
  return meanOf(losses.data() + losses.size() - count, losses.data() + losses.size());
}

struct Example {
  const char* name;
  const char* options;
  bool onDigits;
  int64_t steps, longSteps;
  double fall, longFall;  // of the mean of the last 5 and 20 losses against the first
  std::vector<const char*> plans;
};

void PrintTo(const Example& example, std::ostream* out) {
  *out << example.name;
}

const std::vector<Example> kExamples{
    {"mlp",
     "mlp -b 64",
     true,
     40,
     400,
     0.25,
     0.02,
     {"--ranks 2 --strategy dp=2", "--ranks 2 --strategy pp=2", "--ranks 2 --strategy tp=2",
      "--ranks 4 --strategy dp=2,pp=2"}},
    {"cnn",
     "cnn -b 64",
     true,
     40,
     400,
     0.7,
     0.1,
     {"--ranks 2 --strategy dp=2", "--ranks 2 --strategy pp=2", "--ranks 4 --strategy dp=2,pp=2"}},
    {"gpt",
     "examples/models/gpt-bytes -b 4 --lr 0.002",
     false,
     25,
     300,
     0.65,
     0.45,
     {"--ranks 2 --strategy dp=2", "--ranks 2 --strategy pp=2", "--ranks 4 --strategy dp=2,tp=2"}}};

class TrainingExample : public testing::TestWithParam<Example> {
 protected:
  std::string command() const {
    const Example& e = GetParam();
    if (!e.onDigits) return fmt::format("{} --data 'text:{}'", e.options, kText);
    EXPECT_EQ(drawDigits(folder_.file("")), 0);
    return fmt::format("{} --data '{}'", e.options, digits(folder_.file(""), "train"));
  }
  ScratchFolder folder_;
};

void expectEqual(const std::vector<double>& losses, const std::vector<double>& wanted, size_t steps,
                 double tolerance, const std::string& plan) {
  ASSERT_GE(losses.size(), steps) << plan;
  ASSERT_GE(wanted.size(), steps);
  for (size_t i = 0; i < steps; ++i)
    EXPECT_NEAR(losses[i], wanted[i], tolerance * wanted[i])
        << "in step " << i + 1 << " of " << plan;
}

/// Adam turns gradients as small as its epsilon into steps of full length, so that rounding of fp32
/// grows from step to step; fp64 tells it from a mistake.
TEST_P(TrainingExample, FallsUnderEveryPlan) {
  const std::string run = fmt::format("{} --steps {} ", command(), GetParam().steps);
  const std::vector<double> alone = lossesOf(run);
  for (const char* plan : GetParam().plans) {
    const std::vector<double> split = lossesOf(run + plan);
    ASSERT_EQ(static_cast<int64_t>(split.size()), GetParam().steps) << plan;
    EXPECT_LT(finalLoss(split, 5), GetParam().fall * split.front()) << plan;
    expectEqual(split, alone, 5, 2e-5, plan);
  }
}

TEST_P(TrainingExample, HasTheSameLossesUnderEveryPlan) {
  constexpr size_t kSteps = 12;
  const std::string run = fmt::format("{} --precision fp64 --steps {} ", command(), kSteps);
  const std::vector<double> alone = lossesOf(run);
  for (const char* plan : GetParam().plans)
    expectEqual(lossesOf(run + plan), alone, kSteps, 1e-12, plan);
}

TEST_P(TrainingExample, LearnsFullyUnderItsMixedPlan) {
  if (!longTests()) GTEST_SKIP() << "a full training: ./dev test --long";
  const std::string run =
      fmt::format("{} --steps {} {}", command(), GetParam().longSteps, GetParam().plans.back());
  const std::vector<double> losses = lossesOf(run);
  ASSERT_EQ(static_cast<int64_t>(losses.size()), GetParam().longSteps);
  EXPECT_LT(finalLoss(losses, 20), GetParam().longFall * losses.front());
}

INSTANTIATE_TEST_SUITE_P(Models, TrainingExample, testing::ValuesIn(kExamples),
                         [](const auto& example) { return example.param.name; });

TEST(TrainingExamples, WhatWasLearntHoldsForDigitsThatWereNotSeen) {
  const ScratchFolder folder;
  ASSERT_EQ(drawDigits(folder.file("") + " 4000 512"), 0);
  const std::string weights = folder.file("mlp.safetensors");
  lossesOf(fmt::format("mlp -b 64 --steps 60 --ranks 2 --data {} --checkpoint {}",
                       digits(folder.file(""), "train"), weights));
  const std::string unseen = fmt::format("mlp -b 512 --steps 1 --optimizer sgd --lr 0 --data {}",
                                         digits(folder.file(""), "t10k"));
  const std::vector<double> before = lossesOf(unseen),
                            after = lossesOf(unseen + " --weights " + weights);
  ASSERT_EQ(before.size() + after.size(), 2u);
  EXPECT_NEAR(before[0], std::log(10.0), 0.2);  // as good as guessing
  EXPECT_LT(after[0], 0.25 * before[0]);
}

/// "loss 2.2811 -> 0.1240," of every run in a script's output.
std::vector<std::string> summaries(const std::string& output) {
  const std::regex summary("loss (\\S+) -> (\\S+),");
  std::vector<std::string> found;
  for (std::sregex_iterator i(output.begin(), output.end(), summary), end; i != end; ++i)
    found.push_back(i->str());
  return found;
}

TEST(TrainingExamples, TheScriptShowsTheSameLossesForEveryPlan) {
  const CommandResult result =
      runInRepository(fmt::format("STEPS=3 BUILD='{}' examples/train.sh mlp", kBinaries));
  ASSERT_EQ(result.exitCode, 0) << result.err;
  const std::vector<std::string> found = summaries(result.out);
  ASSERT_EQ(found.size(), 4u) << result.out;
  EXPECT_EQ(found[1], found[0]);
  EXPECT_EQ(found[2], found[0]);
}

TEST(TrainingExamples, TheDemoTrainsWithEqualLossesAndPredictsFromWhatItMeasured) {
  const CommandResult result = runInRepository(fmt::format("examples/demo.sh '{}'", kBinaries));
  ASSERT_EQ(result.exitCode, 0) << result.err;
  const std::vector<std::string> found = summaries(result.out);
  ASSERT_EQ(found.size(), 3u) << result.out;
  double first = 0, last = 0;
  ASSERT_EQ(std::sscanf(found[0].c_str(), "loss %lf -> %lf", &first, &last), 2);
  EXPECT_LT(last, 0.1 * first);
  for (const std::string& other : found) {
    double otherFirst = 0, otherLast = 0;
    ASSERT_EQ(std::sscanf(other.c_str(), "loss %lf -> %lf", &otherFirst, &otherLast), 2);
    EXPECT_NEAR(otherFirst, first, 1e-4);
    EXPECT_NEAR(otherLast, last, 1e-3);
  }
  const std::regex predicted("predicted [^\n]*, (analytic|interpolated|measured)\\), measured ");
  std::vector<std::string> labels;
  for (std::sregex_iterator i(result.out.begin(), result.out.end(), predicted), end; i != end; ++i)
    labels.push_back(i->str(1));
  ASSERT_GE(labels.size(), 3u) << result.out;
  EXPECT_EQ(labels.front(), "analytic");
  EXPECT_EQ(labels.back(), "measured");
}

TEST(TrainingExamples, TheScriptNamesItsModels) {
  const CommandResult result = runInRepository("examples/train.sh transformer");
  EXPECT_EQ(result.exitCode, 2);
  EXPECT_NE(result.err.find("mlp [FOLDER] | cnn [FOLDER] | gpt [FILE]"), std::string::npos);
}

TEST(DrawnDigits, DependOnTheSeedAlone) {
  const ScratchFolder folder;
  ASSERT_EQ(drawDigits(folder.file("a") + " 200 100"), 0);
  ASSERT_EQ(drawDigits(folder.file("b") + " 200 100 1"), 0);
  ASSERT_EQ(drawDigits(folder.file("c") + " 200 100 2"), 0);
  for (const char* set : {"train", "t10k"}) {
    const std::string images = fmt::format("/{}-images-idx3-ubyte", set);
    const std::string labels = fmt::format("/{}-labels-idx1-ubyte", set);
    EXPECT_EQ(bytesOf(folder.file("a") + images), bytesOf(folder.file("b") + images));
    EXPECT_EQ(bytesOf(folder.file("a") + labels), bytesOf(folder.file("b") + labels));
    EXPECT_NE(bytesOf(folder.file("a") + images), bytesOf(folder.file("c") + images));
  }
}

TEST(DrawnDigits, OfAllClassesHaveInkAndDifferFromEachOther) {
  const ScratchFolder folder;
  ASSERT_EQ(drawDigits(folder.file("") + " 1000 10"), 0);
  const std::string images = bytesOf(folder.file("train-images-idx3-ubyte")).substr(16);
  const std::string labels = bytesOf(folder.file("train-labels-idx1-ubyte")).substr(8);
  ASSERT_EQ(images.size(), 1000u * 784);
  ASSERT_EQ(labels.size(), 1000u);
  std::vector<int> perClass(10);
  std::set<std::string> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    ++perClass.at(static_cast<size_t>(labels[i]));
    const std::string image = images.substr(784 * i, 784);
    const auto ink = std::count_if(image.begin(), image.end(),
                                   [](char c) { return static_cast<unsigned char>(c) > 127; });
    EXPECT_GT(ink, 10) << "image " << i;
    EXPECT_LT(ink, 350) << "image " << i;
    EXPECT_TRUE(seen.insert(image).second) << "image " << i;
  }
  for (int digit = 0; digit < 10; ++digit) EXPECT_NEAR(perClass[digit], 100, 50) << digit;
}

TEST(DrawnDigits, AreRefusedWithoutAFolderOrWithWrongNumbers) {
  EXPECT_EQ(drawDigits(""), 2);
  EXPECT_EQ(drawDigits("folder many"), 2);
  EXPECT_EQ(drawDigits("/dev/null/folder 10"), 5);
}

}  // namespace
}  // namespace meshplan
