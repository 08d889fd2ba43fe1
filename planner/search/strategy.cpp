// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "planner/search/search.h"
#include "planner/search/stages.h"

namespace meshplan {
namespace {

Error contradiction(std::string problem, std::string remedy) {
  return Error(ErrorKind::usage, std::move(problem), std::move(remedy)).at("--strategy");
}

void fix(ChoiceRange& range, int64_t value) {
  range.min = range.max = value;
}

/// Fills in what the user left open and checks the product of the degrees.
void complete(StrategyFilter& f, int64_t devices) {
  if (!f.tensor.exactly()) fix(f.tensor, 1);
  if (!f.pipeline.exactly()) fix(f.pipeline, 1);
  if (!f.expert.exactly()) fix(f.expert, 1);
  if (!f.virtualStages.exactly()) fix(f.virtualStages, 1);
  if (!f.microBatch.exactly()) fix(f.microBatch, 1);
  if (!f.zeroStage.exactly()) fix(f.zeroStage, 0);
  if (!f.recompute) f.recompute = Recompute::none;
  if (!f.schedule)
    f.schedule = f.virtualStages.min > 1 ? ScheduleKind::interleaved : ScheduleKind::oneFOneB;
  if (!f.sequenceParallel) f.sequenceParallel = false;
  const int64_t inner = f.tensor.min * f.pipeline.min;
  if (!f.replicas.exactly() && devices % inner == 0) fix(f.replicas, devices / inner);
  const int64_t ranks = inner * f.replicas.valueOr(0);
  if (ranks != devices)
    throw contradiction(fmt::format("dp={} x tp={} x pp={} is not the cluster's {} devices",
                                    f.replicas.valueOr(0), f.tensor.min, f.pipeline.min, devices),
                        fmt::format("choose degrees whose product is {}", devices));
}

/// Throws when the stages that were asked for cannot be.
void explainCut(const StrategyFilter& f, int64_t blocks) {
  const std::vector<int64_t>& cut = f.blocksPerChunk;
  const int64_t chunks = f.pipeline.min * f.virtualStages.min;
  if (cut.empty()) return;
  if (std::ssize(cut) != chunks)
    throw contradiction(
        fmt::format("stages has {} numbers for {} pipeline chunks", cut.size(), chunks),
        "give the blocks of each chunk: pp x vpp numbers");
  if (cutOf(cut, blocks).empty())
    throw contradiction(
        fmt::format("stages={} are not the model's {} blocks", fmt::join(cut, ":"), blocks),
        fmt::format("use numbers whose sum is {}", blocks));
}

[[noreturn]] void explainNone(const PlanContext& context, int64_t globalBatch,
                              const StrategyFilter& f) {
  const int64_t dp = f.replicas.min, mbs = f.microBatch.min, pp = f.pipeline.min,
                vpp = f.virtualStages.min;
  if (globalBatch % (dp * mbs) != 0)
    throw contradiction(
        fmt::format("global batch {} does not divide by dp={} x mbs={}", globalBatch, dp, mbs),
        fmt::format("use a global batch that is a multiple of {}", dp * mbs));
  if (dp % f.expert.min != 0)
    throw contradiction(fmt::format("ep={} does not divide dp={}", f.expert.min, dp),
                        "expert parallelism takes its ranks from the data-parallel ones");
  const auto blocks = static_cast<int64_t>(context.model.chain.blocks.size());
  if (pp * vpp > blocks)
    throw contradiction(
        fmt::format("{} pipeline chunks for a model of {} blocks", pp * vpp, blocks),
        "use fewer pipeline or virtual stages");
  explainCut(f, blocks);
  if (*f.schedule == ScheduleKind::interleaved) {
    const int64_t m = globalBatch / dp / mbs;
    if (pp < 2 || vpp < 2)
      throw contradiction("the interleaved schedule needs pp and vpp above 1",
                          "add vpp=2, or use schedule=1f1b");
    if (m % pp != 0)
      throw contradiction(
          fmt::format("the interleaved schedule needs {} micro-batches to divide by pp={}", m, pp),
          "change mbs or the global batch");
  } else if (vpp > 1) {
    throw contradiction("virtual stages need the interleaved schedule", "use schedule=interleaved");
  }
  throw contradiction(fmt::format("the model cannot be split by tp={} and ep={} at micro-batch {}",
                                  f.tensor.min, f.expert.min, mbs),
                      "degrees must divide heads, features, experts and batch");
}

StrategyFilter filterOf(const PlanReport& r) {
  StrategyFilter f;
  const Plan& p = r.plan;
  fix(f.replicas, p.mesh.replicas());
  fix(f.tensor, p.mesh.tensor);
  fix(f.pipeline, p.mesh.pipeline);
  fix(f.expert, p.mesh.expert);
  fix(f.virtualStages, p.virtualStages);
  fix(f.microBatch, p.microBatch);
  fix(f.zeroStage, p.zeroStage);
  f.sequenceParallel = r.sequenceParallel;
  f.schedule = p.schedule;
  f.recompute = p.recompute;
  return f;
}

/// Moves a factor of two between two degrees, one way and back.
void trade(std::vector<StrategyFilter>& all, const StrategyFilter& from,
           ChoiceRange StrategyFilter::*a, ChoiceRange StrategyFilter::*b) {
  for (int direction = 0; direction < 2; ++direction, std::swap(a, b)) {
    if ((from.*a).min % 2 != 0) continue;
    StrategyFilter f = from;
    fix(f.*a, (from.*a).min / 2);
    fix(f.*b, (from.*b).min * 2);
    all.push_back(f);
  }
}

std::vector<StrategyFilter> oneChoiceChanged(const StrategyFilter& from) {
  std::vector<StrategyFilter> all;
  trade(all, from, &StrategyFilter::tensor, &StrategyFilter::replicas);
  trade(all, from, &StrategyFilter::pipeline, &StrategyFilter::replicas);
  trade(all, from, &StrategyFilter::tensor, &StrategyFilter::pipeline);
  const auto change = [&](auto edit) {
    StrategyFilter f = from;
    edit(f);
    all.push_back(f);
  };
  if (from.microBatch.min % 2 == 0)
    change([&](StrategyFilter& f) { fix(f.microBatch, from.microBatch.min / 2); });
  change([&](StrategyFilter& f) { fix(f.microBatch, from.microBatch.min * 2); });
  for (int64_t zero = 0; zero <= 3; ++zero)
    if (zero != from.zeroStage.min) change([&](StrategyFilter& f) { fix(f.zeroStage, zero); });
  for (Recompute r : {Recompute::none, Recompute::selective, Recompute::full})
    if (r != *from.recompute) change([&](StrategyFilter& f) { f.recompute = r; });
  if (from.tensor.min > 1)
    change([&](StrategyFilter& f) { f.sequenceParallel = !*from.sequenceParallel; });
  if (from.expert.min % 2 == 0)
    change([&](StrategyFilter& f) { fix(f.expert, from.expert.min / 2); });
  change([&](StrategyFilter& f) { fix(f.expert, from.expert.min * 2); });
  if (from.pipeline.min > 1)
    change([&](StrategyFilter& f) {
      const bool interleaved = from.schedule == ScheduleKind::interleaved;
      fix(f.virtualStages, interleaved ? 1 : 2);
      f.schedule = interleaved ? ScheduleKind::oneFOneB : ScheduleKind::interleaved;
    });
  return all;
}

}  // namespace

PlanReport evaluateStrategy(const PlanContext& context, int64_t globalBatch,
                            StrategyFilter filter) {
  const int64_t bucket = filter.bucketMiB.valueOr(25) * kMiB;
  complete(filter, static_cast<int64_t>(context.cluster.deviceCount()));
  Candidates space(context, {globalBatch, bucket, filter, {}, 1});
  const std::vector<Candidate> all = space.enumerate();
  if (all.empty()) explainNone(context, globalBatch, filter);
  const Candidate& best =
      *std::min_element(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
        return std::pair(!a.fits, a.estimate) < std::pair(!b.fits, b.estimate);
      });
  return evaluatePlan(context, space.plan(best));
}

std::vector<PlanReport> neighbours(const PlanContext& context, const PlanReport& report) {
  std::vector<PlanReport> found;
  for (const StrategyFilter& filter : oneChoiceChanged(filterOf(report))) try {
      PlanReport r = evaluateStrategy(context, report.plan.globalBatch, filter);
      const bool known = std::any_of(found.begin(), found.end(),
                                     [&](const PlanReport& f) { return f.strategy == r.strategy; });
      const bool same = r.strategy == report.strategy ||
                        (r.stepTime == report.stepTime && r.peakMemory == report.peakMemory);
      if (!known && !same) found.push_back(std::move(r));
    } catch (const Error& e) {
      // What cannot exist is no neighbour.
      if (e.kind() != ErrorKind::usage) throw;
    }
  return found;
}

}  // namespace meshplan
