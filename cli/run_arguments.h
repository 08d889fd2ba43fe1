// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/training_run.h"
#include "cli/arguments.h"

namespace meshplan {

/// The options of `meshplan run`. `check` is to be called after parsing: it tells a plan file in
/// the place of the model by its content, and throws Error(usage) for options that exclude each
/// other.
struct RunArguments {
  ModelArguments model;
  TrainingArguments training;
  FormatArgument format;
  ProfileArguments profiles;
  TrainingSettings settings;
  int64_t ranks = 0, threads = 0, globalBatch = 0, logEvery = 10;  // 0: not given
  std::string strategy, plan, trace, launch;                       // empty: not given
  std::string backend = "cpu";
  bool noProfile = false;  // record nothing
  bool quiet = false;      // print nothing; no option says so

  void addTo(CLI::App& app);
  void check();

  /// Whether the option was given, and is not a default.
  bool given(const std::string& option) const;
  /// What all ranks must have been started with, as "--lr 0.01"; the plan is not among it.
  std::vector<std::string> shared() const;

 private:
  void addTraining(CLI::App& app);
  void addOptimizer(CLI::App& app);
  void addCheckpoints(CLI::App& app);

  const CLI::App* app_ = nullptr;
};

}  // namespace meshplan
