// SPDX-License-Identifier: Apache-2.0
#include "cli/run_arguments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/loading.h"
#include "core/error.h"

namespace meshplan {
namespace {
CLI::Option* number(CLI::Option* option) {
  return option->type_name("X")->check(CLI::NonNegativeNumber)->capture_default_str();
}

CLI::Option* fraction(CLI::Option* option) {
  return option->type_name("X")->check(CLI::Range(0.0, 1.0))->capture_default_str();
}

/// So that nothing is trained that cannot be saved.
void checkFolderOf(const std::string& file) {
  const auto path = std::filesystem::weakly_canonical(file);
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))
    throw Error(ErrorKind::runtime, "is not a regular file", "name a file that may be replaced")
        .inFile(file);
  if (access(path.parent_path().c_str(), W_OK) != 0)
    throw Error(ErrorKind::runtime, "cannot be created",
                "name a file in a folder that exists and is writable")
        .inFile(file);
}

}  // namespace

void RunArguments::addTo(CLI::App& app) {
  app_ = &app;
  model.addTo(app, false);
  app.get_option("MODEL")->description(
      "An .onnx file, a Hugging Face config.json (or its folder), a name of `meshplan models`, or "
      "a plan that `meshplan plan --out` wrote");
  app.add_option("-n,--ranks", ranks, "Ranks to run on (default: those of the plan, else 1)")
      ->type_name("N")
      ->check(countUpTo(1024));
  app.add_option("--launch", launch,
                 "Start the ranks as threads (the default) or processes of this host; not under "
                 "mpirun, srun or torchrun, which have started them")
      ->type_name("KIND")
      ->check(oneOf({"threads", "processes"}));
  app.add_option("--backend", backend,
                 "Compute on the processor (cpu) or on NVIDIA GPUs (cuda), one rank on each")
      ->type_name("NAME")
      ->check(oneOf({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", threads,
                 "Threads per rank (default: the cores of the host over its ranks)")
      ->type_name("N")
      ->check(countUpTo(1024));
  app.add_option("-b,--global-batch", globalBatch, "Samples per step over all ranks")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 32));
  training.addTo(app);
  training.precision = "fp32";
  app.get_option("--precision")->default_str(training.precision);
  app.add_option("--strategy", strategy, "Limits on the plan, as of `meshplan plan`")
      ->type_name("dp=2,tp=2,...");
  app.add_option("--plan", plan, "Run the plan of this file, made by `meshplan plan --out`")
      ->type_name("plan.json")
      ->excludes("--strategy");
  addTraining(app);
  app.add_option("--trace", trace,
                 "Write the step of median length as it was measured (.json or .pftrace)")
      ->type_name("FILE");
  app.add_flag("--no-profile", noProfile, "Record no times, and store nothing about the run")
      ->excludes("--trace");
  app.add_flag("--check-numbers", settings.checkNumbers,
               "Look for NaN and infinity in what every operator leaves, and name the first that "
               "made a step fail; slow");
  profiles.addTo(app);
  format.addTo(app, {"table", "json", "jsonl"});
}

void RunArguments::addTraining(CLI::App& app) {
  app.add_option("--steps", settings.steps, "Steps to train")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--data", settings.data,
                 "synthetic, idx:IMAGES,LABELS, npy:INPUT=FILE,..., tokens:FILE or text:FILE")
      ->type_name("SOURCE")
      ->capture_default_str();
  addOptimizer(app);
  app.add_option("--seed", settings.seed, "Seed of initial weights, data order and dropout")
      ->type_name("N")
      ->capture_default_str();
  addCheckpoints(app);
  app.add_option("--log-every", logEvery, "Print the loss every N steps")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 40))
      ->capture_default_str();
}

void RunArguments::addOptimizer(CLI::App& app) {
  OptimizerSettings& o = settings.optimizer;
  number(app.add_option("--lr", o.learningRate, "Learning rate"));
  fraction(app.add_option("--momentum", o.momentum, "Momentum, with --optimizer momentum"));
  fraction(app.add_option("--beta1", o.beta1, "Decay of Adam's first moment"));
  fraction(app.add_option("--beta2", o.beta2, "Decay of Adam's second moment"));
  number(app.add_option("--weight-decay", o.weightDecay, "Weight decay"));
}

void RunArguments::addCheckpoints(CLI::App& app) {
  auto* weights = app.add_option("--weights", settings.weights,
                                 "Start from the weights in this file, or at random (default: from "
                                 "those in the ONNX file, for other models at random)")
                      ->type_name("FILE.safetensors|random");
  app.add_option("--resume", settings.resume, "Go on from this checkpoint")
      ->type_name("FILE.safetensors")
      ->excludes(weights);
  app.add_option("--checkpoint", settings.checkpoint, "Save weights and optimizer state here")
      ->type_name("FILE.safetensors");
  app.add_option("--checkpoint-every", settings.checkpointEvery,
                 "Save every N steps (default: at the end)")
      ->type_name("N")
      ->check(countUpTo(int64_t{1} << 40));
}

void RunArguments::check() {
  if (!trace.empty()) checkTraceName(trace);
  if (!settings.checkpoint.empty()) checkFolderOf(settings.checkpoint);
  if (!model.source.empty() && isPlanFile(model.source)) {
    if (!plan.empty())
      throw Error(ErrorKind::usage,
                  fmt::format("two plans to run, {} and --plan {}", model.source, plan),
                  "give one of them");
    if (!strategy.empty())
      throw Error(ErrorKind::usage, "--strategy has no effect on a plan that is made",
                  "leave it out, or give the model")
          .inFile(model.source);
    plan = std::exchange(model.source, {});
  }
  if (model.source.empty() && plan.empty())
    throw Error(ErrorKind::usage, "nothing to run", "give a model or a plan");
}

bool RunArguments::given(const std::string& option) const {
  return app_->count(option) > 0;
}

std::vector<std::string> RunArguments::shared() const {
  const OptimizerSettings& o = settings.optimizer;
  return {fmt::format("--backend {}", backend),
          fmt::format("--steps {}", settings.steps),
          fmt::format("--data {}", settings.data),
          fmt::format("--lr {}", o.learningRate),
          fmt::format("--momentum {}", o.momentum),
          fmt::format("--beta1 {}", o.beta1),
          fmt::format("--beta2 {}", o.beta2),
          fmt::format("--weight-decay {}", o.weightDecay),
          fmt::format("--seed {}", settings.seed),
          fmt::format("--weights {}", settings.weights),
          fmt::format("--resume {}", settings.resume),
          fmt::format("--checkpoint {}", settings.checkpoint),
          fmt::format("--checkpoint-every {}", settings.checkpointEvery),
          fmt::format("--trace {}", trace),
          settings.checkNumbers ? "--check-numbers" : "no --check-numbers",
          noProfile ? "--no-profile" : "no --no-profile"};
}

}  // namespace meshplan
