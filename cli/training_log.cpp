// SPDX-License-Identifier: Apache-2.0
#include "cli/training_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/human.h"
#include "app/run_prediction.h"
#include "cli/report.h"
#include "cli/report_json.h"
#include "cli/run_record.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

nlohmann::ordered_json stepJson(const StepReport& s) {
  nlohmann::ordered_json step = {{"step", s.step}, {"loss", s.loss}, {"seconds", s.seconds}};
  if (s.lossScale) step["loss_scale"] = *s.lossScale;
  if (s.lossScale) step["skipped"] = s.skipped;
  return step;
}

}  // namespace

void TrainingLog::announce(const Program& program, int threads) const {
  if (arguments_.quiet || arguments_.format.format() == Format::json) return;
  const Plan& plan = chosen_.report.plan;
  const int64_t ranks = program.mesh.ranks();
  Bytes arena;
  for (const RankClass& c : program.rankClasses) arena = std::max(arena, c.arenaBytes);
  print(fmt::format(
      "{} ({} parameters) on {} rank{} of {} thread{}: {}\n"
      "global batch {}, {}, {}, {} per rank\n",
      bold(chosen_.planning->modelName()),
      countText(static_cast<double>(chosen_.planning->training().graph.parameterCount())), ranks,
      ranks == 1 ? "" : "s", threads, threads == 1 ? "" : "s", bold(shortStrategy(chosen_.report)),
      plan.globalBatch, precisionName(plan.training.precision),
      optimizerName(plan.training.optimizer), bytesText(arena)));
}

void TrainingLog::log(const std::string& line) {
  clearProgress();
  try {
    print(line + "\n");
  } catch (const Error& error) {
    if (!std::exchange(warned_, true)) warn(std::string(error.what()) + "; the training goes on");
  }
}

void TrainingLog::add(const StepReport& report) {
  steps_.push_back(report);
  const auto done = static_cast<int64_t>(steps_.size());
  const auto samples = static_cast<double>(chosen_.report.plan.globalBatch);
  std::string line =
      fmt::format("step {}  loss {:.4f}  {}  {} samples/s", report.step, report.loss,
                  secondsText(Seconds(report.seconds)), groupedText(samples / report.seconds));
  if (report.lossScale) line += fmt::format("  loss scale {}", *report.lossScale);
  if (report.skipped) line += ", overflow: weights unchanged";
  const bool logs =
      done % arguments_.logEvery == 0 || done == arguments_.settings.steps || done == 1;
  if (arguments_.format.lines()) log(stepJson(report).dump());
  if (logs && !arguments_.quiet && arguments_.format.format() != Format::json) log(line);
  showProgress(progressBar() + line);
}

std::string TrainingLog::progressBar() const {
  constexpr size_t kWidth = 20;
  const auto steps = static_cast<size_t>(std::max<int64_t>(arguments_.settings.steps, 1));
  const size_t filled = steps_.size() * kWidth / steps;
  std::string bar = "[";
  for (size_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : " ";
  return bar + "] ";
}

double TrainingLog::medianSeconds() const {
  if (steps_.empty()) return 0;
  std::vector<double> times;
  for (const StepReport& s : steps_) times.push_back(s.seconds);
  const auto middle = times.begin() + static_cast<long>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

void TrainingLog::printJson(const RunMeasurement* run, Bytes deviceMemory) const {
  const double seconds = medianSeconds();
  const auto samples = static_cast<double>(chosen_.report.plan.globalBatch);
  nlohmann::ordered_json out = documentHead(*chosen_.planning, chosen_.report.plan.globalBatch);
  out["strategy"] = chosen_.report.strategy;
  out["ranks"] = chosen_.report.plan.mesh.ranks();
  out["median_step_seconds"] = seconds;
  out["samples_per_second"] = seconds > 0 ? samples / seconds : 0;
  if (run) {
    const PredictedStep predicted = predictedStep(*run);
    out["measured"] = {{"run", run->id},
                       {"median_step_seconds", run->step.median.value},
                       {"warm_up_steps", run->steps - run->step.count},
                       {"predicted_step_seconds", predicted.time.value},
                       {"predicted_interval_seconds", {predicted.low.value, predicted.high.value}},
                       {"provenance", run->provenance},
                       {"planned_peak_bytes", run->plannedPeak.value},
                       {"measured_peak_bytes", run->measuredPeak.value},
                       {"profiling_overhead", run->profilingOverhead}};
    if (deviceMemory.value > 0) {
      out["measured"]["planned_device_bytes"] = chosen_.report.peakMemory.value;
      out["measured"]["measured_device_bytes"] = deviceMemory.value;
    }
  }
  if (arguments_.format.lines()) return print(out.dump() + "\n");
  out["steps"] = nlohmann::ordered_json::array();
  for (const StepReport& s : steps_) out["steps"].push_back(stepJson(s));
  print(dumpJson(out));
}

void TrainingLog::printPrediction(const RunMeasurement& run) const {
  print(fmt::format("{}; recording took {:.2f} % of it\n", predictionLine(run),
                    100 * run.profilingOverhead));
  if (run.id > 0)
    note(fmt::format("run {} is stored: `meshplan compare {}` shows where they differ", run.id,
                     run.id));
}

void TrainingLog::finish(const RunMeasurement* run, Bytes deviceMemory) const {
  clearProgress();
  if (arguments_.quiet) return;
  if (arguments_.format.format() == Format::json) return printJson(run, deviceMemory);
  if (steps_.empty()) return;
  const double seconds = medianSeconds();
  const auto samples = static_cast<double>(chosen_.report.plan.globalBatch);
  const int64_t tokens = chosen_.planning->training().tokensPerSample;
  const std::string perToken =
      tokens > 1 ? fmt::format(", {} tokens/s",
                               groupedText(samples * static_cast<double>(tokens) / seconds))
                 : "";
  print(fmt::format("loss {:.4f} -> {:.4f}, median step {}, {} samples/s{}\n", steps_.front().loss,
                    steps_.back().loss, secondsText(Seconds(seconds)),
                    groupedText(samples / seconds), perToken));
  if (run) printPrediction(*run);
  if (!arguments_.settings.checkpoint.empty()) note("saved " + arguments_.settings.checkpoint);
}

}  // namespace meshplan
