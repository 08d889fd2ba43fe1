// SPDX-License-Identifier: Apache-2.0
// Numbers that are not finite are traced to where they came from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "backend/npy.h"
#include "backend/safetensors.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const std::string kMlp = "run mlp -b 32 --no-profile --format json ";

/// How the ranks are laid out and started, and which stage has the second layer.
struct Layout {
  std::string options;
  int lastStage = 0;
};
const std::vector<Layout> kLayouts = {{"--ranks 1"},
                                      {"--ranks 2 --strategy dp=2"},
                                      {"--ranks 2 --strategy dp=2,zero=3 --launch processes"},
                                      {"--ranks 2 --strategy tp=2"},
                                      {"--ranks 2 --strategy pp=2,mbs=8", 1},
                                      {"--ranks 2 --strategy pp=2,mbs=8 --launch processes", 1}};

std::string lossesOf(const std::string& output) {
  std::string all;
  const auto document = nlohmann::json::parse(output);
  for (const auto& step : document.at("steps")) all += step.at("loss").dump() + " ";
  return all;
}

class Numbers : public testing::Test {
 protected:
  /// Samples of the mlp, all finite but one number.
  std::string dataWith(float value, int64_t sample) {
    HostTensor x({DType::f32, {32, 784}}), labels({DType::i64, {32}});
    x.as<float>()[static_cast<size_t>(sample * 784 + 5)] = value;
    writeNpy(folder_.file("x.npy"), x);
    writeNpy(folder_.file("labels.npy"), labels);
    return "--data npy:images=" + folder_.file("x.npy") + ",labels=" + folder_.file("labels.npy");
  }
  /// Weights of the mlp, all finite but one number of this parameter.
  std::string weightsWith(float value, const std::string& parameter) {
    const std::string good = folder_.file("good"), bad = folder_.file("bad");
    EXPECT_EQ(runMeshplan(kMlp + "--steps 1 --checkpoint " + good).exitCode, 0);
    const SafetensorsFile file(good);
    std::vector<NamedTensor> tensors = file.tensors();
    HostTensor changed = file.read(parameter, file.find(parameter)->view.type);
    changed.as<float>()[3] = value;
    for (NamedTensor& t : tensors)
      if (t.name == parameter) t.view = changed.view();
    writeSafetensors(bad, tensors, {{"format", "meshplan"}});
    return "--weights " + bad;
  }

  ScratchFolder folder_;
};

TEST_F(Numbers, LookingAtThemChangesNoBitOfTheLosses) {
  for (const Layout& layout : kLayouts) {
    const std::string run = kMlp + "--steps 4 " + layout.options;
    const CommandResult plain = runMeshplan(run), checked = runMeshplan(run + " --check-numbers");
    ASSERT_EQ(checked.exitCode, 0) << checked.err;
    EXPECT_EQ(lossesOf(checked.out), lossesOf(plain.out)) << layout.options;
  }
}

TEST_F(Numbers, TheOperatorThatOverflowsFirstIsNamedWithAndWithoutLookingAtAllSteps) {
  for (const Layout& layout : kLayouts)
    for (const std::string check : {"", " --check-numbers"}) {
      const CommandResult r =
          runMeshplan(kMlp + "--optimizer sgd --lr 1e30 --steps 4 " + layout.options + check);
      EXPECT_EQ(r.exitCode, 5) << layout.options;
      EXPECT_THAT(
          r.err,
          AllOf(HasSubstr("error: step 2: fc2 (Linear) forward of micro-batch 0 on "),
                HasSubstr("(stage " + std::to_string(layout.lastStage) + ") gave "),
                HasSubstr(" from finite inputs"), HasSubstr("hint: lower the learning rate")))
          << layout.options << check;
    }
}

TEST_F(Numbers, DataThatAreNotFiniteAreNamed) {
  for (const Layout& layout : kLayouts) {
    const CommandResult r = runMeshplan(kMlp + dataWith(kNaN, 17) + " --steps 4 " + layout.options);
    EXPECT_EQ(r.exitCode, 5) << layout.options;
    EXPECT_THAT(r.err,
                AllOf(HasSubstr("error: step 1: "), HasSubstr("(stage 0) gave NaN"),
                      HasSubstr(" from NaN in the input 'images'"), HasSubstr("hint: give data")))
        << layout.options;
  }
}

TEST_F(Numbers, WeightsThatAreNotFiniteAreNamed) {
  for (const float value : {kNaN, kInfinity}) {
    const std::string weights = weightsWith(value, "fc2.weight");
    const std::string kind = value == kInfinity ? "infinity" : "NaN";
    for (const Layout& layout : kLayouts) {
      const CommandResult r = runMeshplan(kMlp + weights + " --steps 4 " + layout.options);
      EXPECT_EQ(r.exitCode, 5) << layout.options;
      EXPECT_THAT(r.err, AllOf(HasSubstr("error: step 1: fc2 (Linear) forward"),
                               HasSubstr(" from " + kind + " in the weights 'fc2.weight'"),
                               HasSubstr("hint: start from weights that are finite")))
          << layout.options;
    }
  }
}

/// Decay that doubles the weights in every step, away from zero.
TEST_F(Numbers, TheStepsSinceTheLastCheckpointAreTrainedAgainUnlessTheyAreMany) {
  const std::string growing =
      kMlp + "--ranks 2 --optimizer sgd --lr 1e-30 --weight-decay 3e30 --steps 200 ";
  const CommandResult checked = runMeshplan(growing + "--check-numbers");
  EXPECT_EQ(checked.exitCode, 5);
  EXPECT_THAT(checked.err, HasSubstr(" from a finite gradient"));
  const CommandResult saved =
      runMeshplan(growing + "--checkpoint-every 10 --checkpoint " + folder_.file("last"));
  EXPECT_EQ(saved.exitCode, 5);
  EXPECT_THAT(saved.err, HasSubstr(checked.err));
  const CommandResult unsaved = runMeshplan(growing);
  EXPECT_EQ(unsaved.exitCode, 5);
  EXPECT_THAT(unsaved.err,
              AllOf(HasSubstr("error: the loss of step "), Not(HasSubstr("finite inputs")),
                    HasSubstr("--check-numbers names the operator")));
}

}  // namespace
}  // namespace meshplan
