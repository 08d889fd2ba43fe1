// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

nlohmann::json compareQuickly(const std::string& file) {
  const CommandResult r = runInRepository(fmt::format(
      "python3 tests/bench/accuracy.py '{}/cli/meshplan' --quick --rounds 1 --json '{}'",
      MESHPLAN_BINARY_DIR, file));
  EXPECT_EQ(r.exitCode, 0) << r.err;
  std::ifstream in(file);
  nlohmann::json figures = nlohmann::json::parse(in, nullptr, false);
  figures["text"] = r.out;
  return figures;
}

double medianError(const nlohmann::json& figures, const char* kind) {
  return figures[kind]["median"].get<double>();
}

/// The whole comparison takes a quarter of an hour on a quiet machine (`./dev bench`). Here a few
/// plans of one model show that learning helps; another program may take the cores meanwhile, but
/// hardly three times.
TEST(Accuracy, PredictionsAreBetterAfterMeasuring) {
  if (runInRepository("python3 --version").exitCode != 0) GTEST_SKIP() << "there is no python3";
  const ScratchFolder folder;
  nlohmann::json figures;
  for (int attempt = 0; attempt < 3; ++attempt) {
    figures = compareQuickly(folder.file("figures.json"));
    ASSERT_TRUE(figures.contains("learned"));
    EXPECT_GE(figures["learned"]["plans"], 2);
    if (medianError(figures, "learned") < medianError(figures, "catalogue") / 2) return;
  }
  FAIL() << figures["text"].get<std::string>();
}

}  // namespace
}  // namespace meshplan
