// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/profile_arguments.h"
#include "core/model.h"
#include "core/training.h"

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace meshplan {

/// Accepts whole numbers from 1 to `most`.
CLI::Validator countUpTo(int64_t most);
/// Accepts these words.
CLI::Validator oneOf(std::vector<std::string> words);

/// Options that several subcommands share, and what they mean once parsed. Each `addTo` declares
/// the options; values are read after parsing and refused with Error(usage).
struct ModelArguments {
  std::string source, as, attention;
  std::vector<std::string> dims, settings;
  int64_t sequence = 0, tripCount = 0;

  void addTo(CLI::App& app, bool required = true);
  ModelRequest request() const;
};

struct TrainingArguments {
  std::string optimizer = "adamw", precision = "bf16", gradients = "fp32", runtime = "pytorch";

  void addTo(CLI::App& app);
  TrainingOptions options() const;
};

struct ClusterArguments {
  std::string cluster, device, memoryLimit;
  ProfileArguments profiles;

  void addTo(CLI::App& app, bool required);
};

enum class Format { table, json, csv, markdown };

struct FormatArgument {
  std::string name = "table";

  void addTo(CLI::App& app, std::vector<std::string> choices);
  Format format() const;
  /// "jsonl": JSON as lines, each as soon as it is known.
  bool lines() const { return name == "jsonl"; }
};

}  // namespace meshplan
