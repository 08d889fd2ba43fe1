// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "backend/clock_profiler.h"
#include "backend/comm/in_process.h"
#include "backend/cpu/cpu_device.h"
#include "backend/training_run.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/planning.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "core/blocks.h"
#include "core/error.h"
#include "core/plan_json.h"
#include "planner/lowering.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Trains a model for real, on ranks of this machine's processor.\n"
    "\n"
    "The plan is the best one for so many ranks, the best that --strategy allows, or one from a\n"
    "file. Every rank keeps its memory in one arena at the offsets that were planned.\n"
    "\n"
    "Examples:\n"
    "  meshplan run mlp --ranks 2 --steps 100 --lr 0.01\n"
    "  meshplan run mlp --ranks 4 --strategy dp=2,pp=2 \\\n"
    "      --data idx:train-images-idx3-ubyte,train-labels-idx1-ubyte --checkpoint "
    "mlp.safetensors\n"
    "  meshplan run gpt2 --seq 64 -b 8 --ranks 2 --launch processes\n"
    "  meshplan run --plan plan.json --data tokens:corpus.bin --resume gpt.safetensors\n";

struct Losses {
  std::vector<StepReport> steps;

  double medianSeconds() const {
    if (steps.empty()) return 0;
    std::vector<double> times;
    for (const StepReport& s : steps) times.push_back(s.seconds);
    std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2),
                     times.end());
    return times[times.size() / 2];
  }
};

class RunCommand : public Command {
 public:
  explicit RunCommand(CLI::App& app) : Command(&app) {
    model_.addTo(app, false);
    app.add_option("-n,--ranks", ranks_, "Ranks to run on (default: those of the plan, else 1)")
        ->type_name("N")
        ->check(countUpTo(1024));
    app.add_option("--threads", threads_, "Threads per rank (default: the cores over the ranks)")
        ->type_name("N")
        ->check(countUpTo(1024));
    app.add_option("-b,--global-batch", globalBatch_, "Samples per step over all ranks")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 32));
    training_.addTo(app);
    training_.precision = "fp32";
    auto* strategy =
        app.add_option("--strategy", strategy_, "Limits on the plan, as of `meshplan plan`")
            ->type_name("dp=2,tp=2,...");
    app.add_option("--plan", plan_, "Run the plan of this file, made by `meshplan plan --out`")
        ->type_name("plan.json")
        ->excludes(strategy);
    addTrainingOptions(app);
    app.add_option("--trace", trace_, "Write the last step as it was measured (.json or .pftrace)")
        ->type_name("FILE");
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    if (!trace_.empty()) checkTraceName(trace_);
    if (model_.source.empty() && plan_.empty())
      throw Error(ErrorKind::usage, "nothing to run", "give a model or --plan");
    catchInterrupts();
    const Chosen chosen = plan_.empty() ? choosePlan() : planOfFile();
    const Planning& planning = *chosen.planning;
    const TrainingModel& model = planning.training();
    const Program program = lower(model, chosen.report.plan, {}, LoweredFor::execution);
    const TrainingTask task{model.graph, program, model.referenceBatch,
                            chosen.report.plan.globalBatch,
                            fingerprintText(graphFingerprint(model.graph, model.forwardOps))};
    announce(chosen, program);
    Losses losses;
    trainOnThreads(task, losses);
    clearProgress();
    summarise(chosen, losses);
    if (!trace_.empty())
      writeTrace(trace_, program, measuredTimeline(program, std::move(spans_)), model.graph);
    return interrupted() ? kInterrupted : 0;
  }

 private:
  static constexpr int kInterrupted = 130;

  struct Chosen {
    std::unique_ptr<Planning> planning;
    PlanReport report;
  };

  void addTrainingOptions(CLI::App& app) {
    app.add_option("--steps", settings_.steps, "Steps to train")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 40))
        ->capture_default_str();
    app.add_option("--data", settings_.data,
                   "synthetic, idx:IMAGES,LABELS, npy:INPUT=FILE,..., tokens:FILE or text:FILE")
        ->type_name("SOURCE")
        ->capture_default_str();
    OptimizerSettings& o = settings_.optimizer;
    app.add_option("--lr", o.learningRate, "Learning rate")
        ->type_name("X")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--momentum", o.momentum, "Momentum, with --optimizer momentum")
        ->type_name("X")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--beta1", o.beta1, "Decay of Adam's first moment")
        ->type_name("X")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--beta2", o.beta2, "Decay of Adam's second moment")
        ->type_name("X")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--weight-decay", o.weightDecay, "Weight decay")
        ->type_name("X")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--seed", settings_.seed, "Seed of initial weights, data order and dropout")
        ->type_name("N")
        ->capture_default_str();
    auto* weights =
        app.add_option("--weights", settings_.weights, "Start from the weights in this file")
            ->type_name("FILE.safetensors");
    app.add_option("--resume", settings_.resume, "Go on from this checkpoint")
        ->type_name("FILE.safetensors")
        ->excludes(weights);
    app.add_option("--checkpoint", settings_.checkpoint, "Save weights and optimizer state here")
        ->type_name("FILE.safetensors");
    app.add_option("--checkpoint-every", settings_.checkpointEvery,
                   "Save every N steps (default: at the end)")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 40));
    app.add_option("--log-every", logEvery_, "Print the loss every N steps")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 40))
        ->capture_default_str();
  }

  Chosen choosePlan() {
    ClusterArguments cluster;
    cluster.cluster = fmt::format("{}xCPU", std::max<int64_t>(ranks_, 1));
    Chosen chosen{loadPlanning(model_, training_, cluster), {}};
    SearchOptions options;
    options.filter = parseStrategy(strategy_);
    options.globalBatch = globalBatch_ > 0 ? globalBatch_ : defaultGlobalBatch(*chosen.planning);
    options.threads = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u));
    options.stop = interrupted;
    SearchResult result = searchPlans(chosen.planning->context(), options);
    if (result.plans.empty())
      throw Error(ErrorKind::infeasible,
                  fmt::format("no plan for {} ranks", std::max<int64_t>(ranks_, 1)),
                  "loosen --strategy, or choose a --global-batch that more numbers divide");
    chosen.report = std::move(result.plans.front());
    return chosen;
  }

  /// The plan's own model, batch, precision and optimizer hold.
  Chosen planOfFile() {
    const PlanFile file = readPlanFile(plan_);
    const TrainingOptions& t = file.plan.training;
    const int64_t ranks = file.plan.mesh.ranks();
    if (ranks_ > 0 && ranks_ != ranks)
      throw Error(ErrorKind::usage, fmt::format("the plan is for {} ranks", ranks),
                  "leave --ranks out, or plan again")
          .inFile(plan_);
    if (globalBatch_ > 0 && globalBatch_ != file.plan.globalBatch)
      throw Error(ErrorKind::usage,
                  fmt::format("the plan was made for a global batch of {}", file.plan.globalBatch),
                  "leave --global-batch out, or plan again")
          .inFile(plan_);
    Cluster cluster = loadCluster(fmt::format("{}xCPU", ranks));
    const ModelRequest request = model_.source.empty() ? file.model : model_.request();
    Chosen chosen{std::make_unique<Planning>(request, t, std::move(cluster), std::nullopt), {}};
    try {
      chosen.report = evaluatePlan(chosen.planning->context(), planOf(file, *chosen.planning));
    } catch (const Error& error) {
      throw error.inFile(plan_);
    }
    return chosen;
  }

  int threadsPerRank(int64_t ranks) const {
    const auto cores = static_cast<int64_t>(std::max(std::thread::hardware_concurrency(), 1u));
    if (threads_ > 0) return static_cast<int>(threads_);
    return static_cast<int>(std::max<int64_t>(1, cores / ranks));
  }

  void announce(const Chosen& chosen, const Program& program) const {
    if (format_.format() == Format::json) return;
    const int64_t ranks = program.mesh.ranks();
    Bytes arena;
    for (const RankClass& c : program.rankClasses) arena = std::max(arena, c.arenaBytes);
    const int threads = threadsPerRank(ranks);
    print(fmt::format(
        "{} ({} parameters) on {} rank{} of {} thread{}: {}\n"
        "global batch {}, {}, {}, {} per rank\n",
        bold(chosen.planning->modelName()),
        countText(static_cast<double>(chosen.planning->training().graph.parameterCount())), ranks,
        ranks == 1 ? "" : "s", threads, threads == 1 ? "" : "s", bold(chosen.report.strategy),
        chosen.report.plan.globalBatch, precisionName(chosen.report.plan.training.precision),
        optimizerName(chosen.report.plan.training.optimizer), bytesText(arena)));
  }

  void trainOnThreads(const TrainingTask& task, Losses& losses) {
    settings_.optimizer.kind = parseOptimizer(training_.optimizer);
    const int threads = threadsPerRank(task.program.mesh.ranks());
    const auto epoch = ClockProfiler::Clock::now();
    std::mutex merging;
    runInProcess(static_cast<int>(task.program.mesh.ranks()), [&](Communicator& world) {
      CpuDevice device(threads);
      const MeshCoordinates at = task.program.mesh.coordinates(world.rank());
      ClockProfiler profiler(task.program, static_cast<int>(at.back()), epoch);
      TrainingSettings settings = settings_;
      const bool traced = !trace_.empty() && at[0] == 0 && at[1] == 0 && at[2] == 0;
      if (traced) settings.profiler = &profiler;
      trainRank(task, settings, device, world, [&](const StepReport& report) {
        return world.rank() != 0 || told(task, losses, report);
      });
      const std::lock_guard lock(merging);
      spans_.insert(spans_.end(), profiler.spans().begin(), profiler.spans().end());
    });
  }

  /// On rank 0 after each step.
  bool told(const TrainingTask& task, Losses& losses, const StepReport& report) {
    losses.steps.push_back(report);
    const auto done = static_cast<int64_t>(losses.steps.size());
    const std::string line =
        fmt::format("step {}  loss {:.4f}  {}  {} samples/s", report.step, report.loss,
                    secondsText(Seconds(report.seconds)),
                    groupedText(static_cast<double>(task.globalBatch) / report.seconds));
    const bool logs = done % logEvery_ == 0 || done == settings_.steps || done == 1;
    if (logs && format_.format() != Format::json) {
      clearProgress();
      print(line + "\n");
    }
    showProgress(progressBar(done) + line);
    return !interrupted();
  }

  std::string progressBar(int64_t done) const {
    constexpr int64_t kWidth = 20;
    const auto filled = static_cast<size_t>(done * kWidth / std::max<int64_t>(settings_.steps, 1));
    std::string bar = "[";
    for (size_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : " ";
    return bar + "] ";
  }

  void summarise(const Chosen& chosen, const Losses& losses) const {
    const double seconds = losses.medianSeconds();
    const auto samples = static_cast<double>(chosen.report.plan.globalBatch);
    if (format_.format() == Format::json) {
      nlohmann::json out = {{"strategy", chosen.report.strategy},
                            {"ranks", chosen.report.plan.mesh.ranks()},
                            {"median_step_seconds", seconds},
                            {"samples_per_second", seconds > 0 ? samples / seconds : 0},
                            {"steps", nlohmann::json::array()}};
      for (const StepReport& s : losses.steps)
        out["steps"].push_back({{"step", s.step}, {"loss", s.loss}, {"seconds", s.seconds}});
      print(out.dump(2) + "\n");
      return;
    }
    if (losses.steps.empty()) return;
    const int64_t tokens = chosen.planning->training().tokensPerSample;
    const std::string perToken =
        tokens > 1 ? fmt::format(", {} tokens/s",
                                 groupedText(samples * static_cast<double>(tokens) / seconds))
                   : "";
    print(fmt::format("loss {:.4f} -> {:.4f}, median step {}, {} samples/s{}\n",
                      losses.steps.front().loss, losses.steps.back().loss,
                      secondsText(Seconds(seconds)), groupedText(samples / seconds), perToken));
    if (!settings_.checkpoint.empty()) note("saved " + settings_.checkpoint);
  }

  ModelArguments model_;
  TrainingArguments training_;
  FormatArgument format_;
  TrainingSettings settings_;
  int64_t ranks_ = 0, threads_ = 0, globalBatch_ = 0, logEvery_ = 10;
  std::string strategy_, plan_, trace_;
  std::vector<Span> spans_;  // measured, of one rank per stage
};

}  // namespace

std::unique_ptr<Command> runCommand(CLI::App& parent) {
  return std::make_unique<RunCommand>(*parent.add_subcommand("run", kDescription));
}

}  // namespace meshplan
