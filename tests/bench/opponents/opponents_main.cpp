// SPDX-License-Identifier: Apache-2.0
// Plans other planners' instances under their own cost definitions:
//   meshplan-opponents piper INSTANCE.json [--devices K] [--memory GiB] [--theirs RESULT.json] ...
//   meshplan-opponents galvatron FOLDER [--memory GiB] [--batch N] [--theirs RESULT.json] ...
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/units.h"
#include "tests/bench/opponents/galvatron_search.h"
#include "tests/bench/opponents/piper_search.h"

namespace meshplan {
namespace {

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw Error(ErrorKind::input, "cannot be read", "give a file that exists").inFile(path);
  return text.str();
}

/// User and system time, as clock() counts it for the others.
double cpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct PiperOptions {
  std::vector<std::string> files;
  std::string theirs;
  int64_t devices = 0, batch = 0;
  double memory = 0, bandwidth = 0;  // GiB, GiB/s
  bool stages = false;
};

void printStages(const PiperInstance& instance, const PiperPlan& plan) {
  for (const PiperStage& s : plan) {
    size_t other = 0;
    for (uint32_t choice : s.choices) other += choice != 0;
    fmt::print("  layers {} .. {} ({}), {} replicas x {} tensor-parallel, {} layers not '{}'\n",
               instance.nodes[s.nodes.front()].id, instance.nodes[s.nodes.back()].id,
               s.nodes.size(), s.replicas, s.tensor, other,
               instance.nodes[s.nodes.front()].options.at(s.tensor).front().id);
  }
}

void runPiper(const PiperOptions& options) {
  for (const std::string& file : options.files) {
    PiperInstance instance = parsePiperInstance(readFile(file), file);
    if (options.devices > 0) instance.devices = options.devices;
    if (options.batch > 0) instance.microBatches = options.batch;
    if (options.memory > 0) instance.memory = options.memory * static_cast<double>(kGiB);
    if (options.bandwidth > 0) instance.bandwidth = options.bandwidth * static_cast<double>(kGiB);
    const double start = cpuSeconds();
    const PiperAnswer answer = searchPiper(instance);
    const double seconds = cpuSeconds() - start;
    fmt::print("{}: {} layers, {} devices, {:.4g} GiB, batch {}\n", file, instance.nodes.size(),
               instance.devices, instance.memory / static_cast<double>(kGiB),
               instance.microBatches);
    if (answer.plan.empty()) {
      fmt::print("  nothing fits ({:.3f} CPU s)\n", seconds);
      continue;
    }
    fmt::print("  ours {:.12g} s per sample, at least {:.12g}, {} stages, {:.3f} CPU s\n",
               answer.timePerSample, answer.lowerBound, answer.plan.size(), seconds);
    fmt::print("  {} sets of layers, {} bottlenecks, {} stages, {} knapsacks ({} given up)\n",
               answer.downsets, answer.bottlenecks, answer.stages, answer.knapsacks,
               answer.undecided);
    if (!options.theirs.empty()) {
      const PiperPlan plan = parsePiperPlan(instance, readFile(options.theirs), options.theirs);
      const double time = piperTimePerSample(instance, plan);
      fmt::print("  theirs {:.12g} s per sample, {} stages; ours / theirs {:.9f}\n", time,
                 plan.size(), answer.timePerSample / time);
    }
    if (options.stages) printStages(instance, answer.plan);
  }
}

void addPiper(CLI::App& app, PiperOptions& piper) {
  CLI::App* command = app.add_subcommand("piper", "instances of github.com/msr-fiddle/piper");
  command->add_option("instance", piper.files, "JSON files (inputs/ of that repository)")
      ->required();
  command->add_option("--devices", piper.devices, "instead of the file's maxDevices");
  command->add_option("--batch", piper.batch, "instead of the file's mbsInBatch");
  command->add_option("--memory", piper.memory, "GiB, instead of the file's maxMemoryPerDevice");
  command->add_option("--bandwidth", piper.bandwidth, "GiB/s, instead of the file's bandwidth");
  command->add_option("--theirs", piper.theirs, "Piper's result, evaluated beside ours");
  command->add_flag("--stages", piper.stages, "print the stages");
  command->callback([&piper] { runPiper(piper); });
}

struct GalvatronOptions {
  std::string folder, theirs;
  GalvatronSetting setting;
};

std::string describe(const GalvatronStrategy& s) {
  const char* sharding[] = {"", " zero2", " zero3"};
  return fmt::format("tp={} sp={} dp={}{}{}", s.tensor, s.sequence, s.data,
                     sharding[static_cast<size_t>(s.sharding)], s.recompute ? " recompute" : "");
}

void printStep(const char* whose, const GalvatronCost& cost, const GalvatronPlan& plan) {
  const GalvatronCost::Step step = cost.step(plan);
  fmt::print(
      "  {} {:.12g} s per step ({:.12g} without resharding, {:.6g} samples/s), {} stages, {} "
      "micro-batches, {} MiB of {}{}\n",
      whose, step.time, step.reported, static_cast<double>(cost.setting().batch) / step.reported,
      plan.pipeline, plan.microBatches, fmt::join(step.memory, " "), cost.usableMemory(),
      step.fits ? "" : ": does not fit");
  for (size_t i = 0, first = 0; i < plan.layers.size(); ++i) {
    if (i + 1 < plan.layers.size() && plan.layers[i + 1] == plan.layers[i]) continue;
    fmt::print("    layers {} .. {}: {}\n", first, i, describe(plan.layers[i]));
    first = i + 1;
  }
  fmt::print("    embedding and loss: {}\n", describe(plan.embedding));
}

void runGalvatron(const GalvatronOptions& options) {
  const GalvatronSetting& s = options.setting;
  const double start = cpuSeconds();
  const GalvatronProfile profile = readGalvatronProfile(options.folder, s);
  const GalvatronCost cost(profile, s);
  const GalvatronAnswer answer = searchGalvatron(cost);
  const double seconds = cpuSeconds() - start;
  fmt::print("{}: {} devices, {} GiB, batch {}: {:.3f} CPU s with reading, {} of {} tasks solved\n",
             s.model, s.devices(), s.memoryGiB, s.batch, seconds, answer.solved, answer.tasks);
  if (answer.plan.layers.empty()) {
    fmt::print("  nothing fits\n");
    return;
  }
  printStep("ours", cost, answer.plan);
  fmt::print("  no plan takes less than {:.12g} s\n", answer.lowerBound);
  if (!options.theirs.empty())
    printStep("theirs", cost, parseGalvatronPlan(s, readFile(options.theirs), options.theirs));
}

void addGalvatron(CLI::App& app, GalvatronOptions& options) {
  CLI::App* command =
      app.add_subcommand("galvatron", "profiles of github.com/PKU-DAIR/Hetu-Galvatron");
  GalvatronSetting& s = options.setting;
  command->add_option("folder", options.folder, "a copy of that repository")->required();
  command->add_option("--memory", s.memoryGiB, "GiB of a device")->check(CLI::PositiveNumber);
  command->add_option("--batch", s.batch, "samples of a step")->check(CLI::PositiveNumber);
  command->add_option("--model", s.model, "name in the profiles' file names");
  command->add_option("--layers", s.layers)->check(CLI::PositiveNumber);
  command->add_option("--hidden", s.hidden)->check(CLI::PositiveNumber);
  command->add_option("--sequence", s.sequence)->check(CLI::PositiveNumber);
  command->add_option("--nodes", s.nodes)->check(CLI::PositiveNumber);
  command->add_option("--devices-per-node", s.devicesPerNode)->check(CLI::PositiveNumber);
  command->add_option("--theirs", options.theirs, "Galvatron's result, evaluated beside ours");
  command->callback([&options] { runGalvatron(options); });
}

int run(int argc, char** argv) {
  CLI::App app("Plans other planners' instances under their own cost definitions.");
  app.require_subcommand(1);
  PiperOptions piper;
  addPiper(app, piper);
  GalvatronOptions galvatron;
  addGalvatron(app, galvatron);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e);
  } catch (const Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return exitCode(e.kind());
  }
}

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  return meshplan::run(argc, argv);
}
