// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

/// The whole comparison takes a quarter of an hour on a quiet machine (`./dev bench`). Here a few
/// plans of one model show on any machine, however busy, that learning helps.
TEST(Accuracy, PredictionsAreBetterAfterMeasuring) {
  if (runInRepository("python3 --version").exitCode != 0) GTEST_SKIP() << "there is no python3";
  const ScratchFolder folder;
  const std::string file = folder.file("figures.json");
  const CommandResult r = runInRepository(fmt::format(
      "python3 tests/bench/accuracy.py '{}/cli/meshplan' --quick --rounds 1 --json '{}'",
      MESHPLAN_BINARY_DIR, file));
  ASSERT_EQ(r.exitCode, 0) << r.err;
  std::ifstream in(file);
  const nlohmann::json figures = nlohmann::json::parse(in);
  const auto median = [&](const char* kind) { return figures[kind]["median"].get<double>(); };
  EXPECT_GE(figures["learned"]["plans"], 2) << r.out;
  EXPECT_LT(median("learned"), median("catalogue") / 2) << r.out;
  EXPECT_LT(median("learned"), 0.4) << r.out;
}

}  // namespace
}  // namespace meshplan
