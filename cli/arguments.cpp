// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

#include "core/error.h"

namespace meshplan {
namespace {

std::pair<std::string, std::string> keyAndValue(const std::string& text, std::string_view option,
                                                std::string_view example) {
  const size_t at = text.find('=');
  if (at == 0 || at == std::string::npos || at + 1 == text.size())
    throw Error(ErrorKind::usage, fmt::format("'{}' is not name=value", text),
                fmt::format("write for example {} {}", option, example))
        .at(std::string(option));
  return {text.substr(0, at), text.substr(at + 1)};
}

int64_t dimension(const std::string& text) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value < 1)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no extent", text),
                "use a whole number from 1")
        .at("--dim");
  return value;
}

}  // namespace

CLI::Validator countUpTo(int64_t most) {
  return CLI::Validator(
      [most](std::string& text) {
        int64_t value = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool whole = failed == std::errc() && end == text.data() + text.size();
        return whole && value >= 1 && value <= most
                   ? std::string()
                   : fmt::format("'{}' is not a whole number from 1 to {}", text, most);
      },
      "");
}

CLI::Validator oneOf(std::vector<std::string> words) {
  return CLI::Validator(
      [words = std::move(words)](std::string& text) {
        const bool known = std::find(words.begin(), words.end(), text) != words.end();
        return known ? std::string()
                     : fmt::format("'{}' is none of {}", text, fmt::join(words, ", "));
      },
      "");
}

void ModelArguments::addTo(CLI::App& app, bool required) {
  app.add_option("MODEL", source,
                 "An .onnx file, a Hugging Face config.json (or its folder), or a name of "
                 "`meshplan models`")
      ->required(required);
  app.add_option("--seq", sequence, "Sequence length")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 24));
  app.add_option("--dim", dims, "Size of a symbolic dimension of an ONNX graph (repeatable)")
      ->type_name("NAME=N")
      ->allow_extra_args(false);
  app.add_option("--set", settings,
                 "Override fields of the model's config: layers=24,hidden=2048 (repeatable)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--as", as, "Read an unknown model_type like this known one")->type_name("TYPE");
  app.add_option("--attention", attention,
                 "How attention is computed: flash (the default, FlashAttention-2), flash-1, or in "
                 "steps over scores in memory: fused-softmax (Megatron-LM) or math (plain PyTorch)")
      ->type_name("KIND")
      ->check(oneOf({"flash", "flash-1", "fused-softmax", "math"}));
  app.add_option("--trip-count", tripCount, "Trips of an ONNX Loop or Scan of unknown count")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 32));
}

ModelRequest ModelArguments::request() const {
  ModelRequest request;
  request.source = source;
  for (const std::string& d : dims) {
    const auto [name, value] = keyAndValue(d, "--dim", "batch=8");
    request.dims[name] = dimension(value);
  }
  for (const std::string& s : settings) {
    for (const std::string& item : CLI::detail::split(s, ',')) {
      const auto [name, value] = keyAndValue(item, "--set", "num_hidden_layers=24");
      request.settings[name] = value;
    }
  }
  if (sequence > 0) request.sequence = sequence;
  if (tripCount > 0) request.tripCount = tripCount;
  if (!as.empty()) request.as = as;
  if (!attention.empty()) request.attention = attention;
  return request;
}

void TrainingArguments::addTo(CLI::App& app) {
  app.add_option("--optimizer", optimizer, "sgd, momentum, adam or adamw")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--precision", precision, "fp32, tf32, bf16, fp16 (the latter two mixed) or fp64")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--gradient-dtype", gradients,
                 "Of accumulated weight gradients under mixed precision: fp32, bf16 or fp16")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--runtime", runtime,
                 "Whose host overhead to count: pytorch, megatron, megatron-core, or native (none)")
      ->type_name("NAME")
      ->capture_default_str();
}

TrainingOptions TrainingArguments::options() const {
  TrainingOptions options;
  options.optimizer = parseOptimizer(optimizer);
  options.precision = parsePrecision(precision);
  options.gradientDType = parseGradientDType(gradients);
  options.runtime = parseRuntime(runtime);
  return options;
}

void ClusterArguments::addTo(CLI::App& app, bool required) {
  app.add_option("-c,--cluster", cluster,
                 "8xH100-SXM, 16x8xA100-SXM-80GB, a name of `meshplan clusters`, a file, or "
                 "local:4 for so many ranks of this machine's processor")
      ->type_name("CLUSTER")
      ->required(required);
  app.add_option("--device", device, "The devices of a cluster file that does not name them")
      ->type_name("NAME");
  app.add_option("--memory-limit", memoryLimit, "Memory per device that a plan may use")
      ->type_name("SIZE");
  profiles.addTo(app);
}

void FormatArgument::addTo(CLI::App& app, std::vector<std::string> choices) {
  app.add_option("--format", name, fmt::format("Output: {}", fmt::join(choices, ", ")))
      ->type_name("NAME")
      ->check(oneOf(choices))
      ->capture_default_str();
}

Format FormatArgument::format() const {
  static const std::map<std::string, Format> kFormats = {
      {"table", Format::table}, {"json", Format::json},   {"jsonl", Format::json},
      {"csv", Format::csv},     {"md", Format::markdown}, {"markdown", Format::markdown}};
  return kFormats.at(name);
}

}  // namespace meshplan
