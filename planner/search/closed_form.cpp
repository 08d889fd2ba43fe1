// SPDX-License-Identifier: Apache-2.0
#include "planner/search/closed_form.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "planner/memory_model.h"
#include "planner/pipeline_schedule.h"
#include "planner/search/stages.h"

namespace meshplan {
namespace {

uint64_t mix(uint64_t h, uint64_t value) {
  h = (h ^ value) * 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 29);
}

/// More micro-batches than this change nothing about how many are in flight: the schedules repeat
/// after a round of all virtual stages.
int64_t enoughMicroBatches(int64_t microBatches, int64_t pipeline) {
  return microBatches > 8 * pipeline ? 8 * pipeline : microBatches;
}

}  // namespace

size_t ClosedForm::Hash::operator()(const CollectiveKey& k) const {
  return mix(mix(static_cast<uint64_t>(k.kind), static_cast<uint64_t>(k.bytes)),
             reinterpret_cast<uintptr_t>(k.group));
}

size_t ClosedForm::Hash::operator()(const std::array<int64_t, 4>& k) const {
  uint64_t h = 0;
  for (int64_t v : k) h = mix(h, static_cast<uint64_t>(v));
  return h;
}

ClosedForm::ClosedForm(const PlanContext& context, const SearchSpace& space,
                       const std::vector<ShardingAnswer>& answers)
    : context_(context),
      space_(space),
      answers_(answers),
      limit_(static_cast<double>(context.memoryLimit.value)) {
  const TrainingOptions& t = context.model.options;
  const DType stored = storageDType(t.precision);
  weightBytes_ = static_cast<double>(dtypeBytes(stored));
  gradientBytes_ = static_cast<double>(dtypeBytes(isMixed(t.precision) ? t.gradientDType : stored));
}

const MeshGroups& ClosedForm::groups(const MeshShape& mesh) {
  const auto [at, isNew] =
      groups_.try_emplace({mesh.tensor, mesh.expert, mesh.data, mesh.pipeline});
  MeshGroups& g = at->second;
  if (!isNew) return g;
  const DeviceMesh view(context_.cluster, mesh);
  g.tensor = describeGroup(context_.cluster, view, MeshAxis::tensor);
  g.expert = describeGroup(context_.cluster, view, MeshAxis::expert);
  g.data = describeGroup(context_.cluster, view, MeshAxis::data);
  g.replicas = describeGroup(context_.cluster, view, MeshAxis::data | MeshAxis::expert);
  g.pipeline = describeGroup(context_.cluster, view, MeshAxis::pipeline);
  return g;
}

// --- memory

const std::vector<std::vector<int64_t>>& ClosedForm::moments(const Candidate& c, int64_t stage) {
  const int64_t m =
      enoughMicroBatches(space_.globalBatch / c.mesh.replicas() / c.microBatch, c.mesh.pipeline);
  // GPipe holds them all.
  const int64_t all = space_.globalBatch / c.mesh.replicas() / c.microBatch;
  const int64_t counted = c.schedule == ScheduleKind::gpipe ? all : m;
  auto& stages =
      moments_[{static_cast<int64_t>(c.schedule), c.mesh.pipeline, counted, c.virtualStages}];
  if (stages.empty()) stages.resize(static_cast<size_t>(c.mesh.pipeline));
  auto& found = stages[static_cast<size_t>(stage)];
  if (found.empty())
    found = fullestMoments(c.schedule, stage, c.mesh.pipeline, counted, c.virtualStages);
  return found;
}

std::vector<int64_t> ClosedForm::held(const Candidate& c, int64_t stage) {
  std::vector<int64_t> most(static_cast<size_t>(c.virtualStages));
  for (const std::vector<int64_t>& moment : moments(c, stage))
    for (size_t v = 0; v < most.size(); ++v) most[v] = std::max(most[v], moment[v]);
  return most;
}

double ClosedForm::residentBytes(const Candidate& c, double dense, double expert) const {
  const TrainingOptions& t = context_.model.options;
  const double state = static_cast<double>(dtypeBytes(stateDType(t.precision))) *
                       (optimizerStates(t.optimizer) + (isMixed(t.precision) ? 1 : 0));
  const auto bytes = [&](double elements, int64_t ranks) {
    const auto n = static_cast<double>(ranks);
    return elements *
           (weightBytes_ / (c.zeroStage >= 3 ? n : 1) +
            gradientBytes_ / (c.zeroStage >= 2 ? n : 1) + state / (c.zeroStage >= 1 ? n : 1));
  };
  return bytes(dense, c.mesh.replicas()) + bytes(expert, c.mesh.data);
}

double ClosedForm::reserve(const MeshShape& mesh) {
  const auto [at, isNew] =
      reserves_.try_emplace({mesh.tensor, mesh.expert, mesh.data, mesh.pipeline});
  if (isNew) {
    const MemoryReserve r = reserveOf(context_.cluster.specs().front(), mesh);
    at->second = static_cast<double>((r.framework + r.communication + r.workspace).value);
  }
  return at->second;
}

/// Earlier stages hold more micro-batches: the first stage of a run is its fullest.
double ClosedForm::memoryOf(const Candidate& c, const std::vector<StageRun>& runs) {
  double worst = 0;
  for (const StageRun& run : runs) {
    double fullest = 0;
    for (const std::vector<int64_t>& inFlight : moments(c, run.first)) {
      double bytes = 0;
      for (size_t v = 0; v < run.sums.saved.size(); ++v)
        bytes += static_cast<double>(inFlight[v]) * run.sums.saved[v];
      fullest = std::max(fullest, bytes);
    }
    worst = std::max(worst, residentBytes(c, run.sums.dense, run.sums.expert) + fullest);
  }
  return worst + reserve(c.mesh);
}

// --- cuts

std::vector<int64_t> ClosedForm::solveCut(const Candidate& c, bool limited) {
  const BlockChain& chain = context_.model.chain;
  const int64_t chunks = c.mesh.pipeline * c.virtualStages;
  if (const auto& asked = space_.filter.blocksPerChunk; !asked.empty())
    return std::ssize(asked) == chunks ? cutOf(asked, std::ssize(chain.blocks))
                                       : std::vector<int64_t>();
  if (space_.filter.evenStages) return evenStages(chain, chunks);
  ++counts_.cuts;
  const std::vector<BlockCost>& blocks = costs(c);
  CutProblem problem;
  for (const Block& block : chain.blocks) {
    const BlockCost& cost = blocks[block.blockClass];
    problem.time.push_back(blockSeconds(cost, c.recompute));
    problem.weight.push_back(residentBytes(c, cost.parameters, cost.expertParameters));
    problem.saved.push_back(blockSaved(cost, c.recompute));
  }
  const auto n = static_cast<size_t>(chunks);
  problem.capacity.assign(n, std::numeric_limits<double>::infinity());
  problem.inFlight.assign(n, 1);
  for (int64_t s = 0; limited && s < c.mesh.pipeline; ++s) {
    const std::vector<int64_t> inFlight = held(c, s);
    for (int64_t v = 0; v < c.virtualStages; ++v) {
      const auto chunk = static_cast<size_t>(v * c.mesh.pipeline + s);
      problem.capacity[chunk] = (limit_ - reserve(c.mesh)) / static_cast<double>(c.virtualStages);
      problem.inFlight[chunk] = static_cast<double>(inFlight[static_cast<size_t>(v)]);
    }
  }
  return cutStages(problem);
}

const ClosedForm::Cut& ClosedForm::fastestCut(const Candidate& c) {
  const int64_t which =
      (int64_t{c.shardings} << 20 | int64_t{c.point} << 4) + static_cast<int64_t>(c.recompute);
  const auto [run, isNew] = runs_.try_emplace({which, c.mesh.pipeline, c.virtualStages, 0});
  if (!isNew) return run->second;
  const auto [cut, isNewCut] = cuts_.try_emplace({which, c.mesh.pipeline * c.virtualStages, 0, 0});
  if (isNewCut) cut->second = solveCut(c, false);
  run->second.starts = cut->second;
  if (!cut->second.empty()) {
    ++counts_.runs;
    run->second.runs =
        stageRuns(context_.model.chain, costs(c), c.recompute, cut->second, c.mesh.pipeline);
  }
  return run->second;
}

/// Whether all that the model keeps, each activation once, fits all stages together.
bool ClosedForm::mayFit(const Candidate& c, const Cut& cut) {
  double bytes = 0;
  for (const StageRun& run : cut.runs) {
    double saved = 0;
    for (double s : run.sums.saved) saved += s;
    bytes += static_cast<double>(run.count) *
             (residentBytes(c, run.sums.dense, run.sums.expert) + saved);
  }
  return bytes <= (limit_ - reserve(c.mesh)) * static_cast<double>(c.mesh.pipeline);
}

ClosedForm::Cut ClosedForm::limitedCut(const Candidate& c) {
  Cut cut;
  cut.starts = solveCut(c, true);
  if (!cut.starts.empty())
    cut.runs = stageRuns(context_.model.chain, costs(c), c.recompute, cut.starts, c.mesh.pipeline);
  return cut;
}

std::vector<int64_t> ClosedForm::starts(const Candidate& c) {
  const Cut& fastest = fastestCut(c);
  if (fastest.starts.empty() || c.mesh.pipeline == 1 || memoryOf(c, fastest.runs) <= limit_ ||
      !mayFit(c, fastest))
    return fastest.starts;
  Cut limited = limitedCut(c);
  return limited.starts.empty() ? fastest.starts : limited.starts;
}

// --- time

double ClosedForm::collective(CollectiveKind kind, double bytes, const GroupTopology& group) {
  if (bytes <= 0 || group.ranks <= 1) return 0;
  const auto whole = static_cast<int64_t>(bytes);
  const auto [at, isNew] = collectives_.try_emplace({kind, whole, &group});
  if (isNew) {
    ++counts_.collectives;
    at->second = context_.cost.collectiveTime(kind, Bytes(whole), group).time.value;
  }
  return at->second;
}

double ClosedForm::bucketed(CollectiveKind kind, double bytes, const GroupTopology& group) {
  const double buckets = std::max(1.0, std::ceil(bytes / static_cast<double>(space_.bucketBytes)));
  return buckets * collective(kind, bytes / buckets, group);
}

double ClosedForm::updateTime(const Candidate& c, const StageSums& s) const {
  const TrainingOptions& t = context_.model.options;
  const bool sharded = c.zeroStage >= 1;
  const double elements = s.dense / static_cast<double>(sharded ? c.mesh.replicas() : 1) +
                          s.expert / static_cast<double>(sharded ? c.mesh.data : 1);
  OperatorWork update;
  update.def = &operatorDef("Update");
  update.phase = Phase::update;
  update.accumulated = elements * gradientBytes_;
  update.bytes =
      elements * (gradientBytes_ + 8 + weightBytes_ + 8.0 * optimizerStates(t.optimizer));
  if (t.precision == Precision::fp16) update.bytes += elements * gradientBytes_;  // for overflows
  return context_.cost.operatorTime(update).time.value;
}

/// ZeRO-3 hides its gathering and scattering behind each micro-batch, ZeRO-2 its scattering;
/// otherwise the last micro-batch's backward pass hides the reduction. The host runs ahead, so it
/// counts where it takes longer than the device for a whole micro-batch.
ClosedForm::StageTime ClosedForm::timeOf(const Candidate& c, const StageSums& s,
                                         const MeshGroups& g) {
  const auto kind = c.zeroStage == 0 ? CollectiveKind::allReduce : CollectiveKind::reduceScatter;
  const double reduce = bucketed(kind, s.dense * gradientBytes_, g.replicas) +
                        bucketed(kind, s.expert * gradientBytes_, g.data);
  const double gather =
      c.zeroStage == 0 ? 0
                       : bucketed(CollectiveKind::allGather, s.dense * weightBytes_, g.replicas) +
                             bucketed(CollectiveKind::allGather, s.expert * weightBytes_, g.data);
  const double host = std::max(0.0, s.hostForward + s.hostBackward - s.forward - s.backward);
  StageTime time{s.forward + host, s.backward, updateTime(c, s), 0, 0};
  time.atLeastAfter = time.after + (c.zeroStage == 1 || c.zeroStage == 2 ? gather : 0);
  if (c.zeroStage == 3) time.dataStream = 2 * gather + reduce;
  if (c.zeroStage == 2) time.dataStream = reduce;
  if (c.zeroStage == 3) {
    time.forward = std::max(time.forward, gather);
    time.backward = std::max(time.backward, gather + reduce);
  } else if (c.zeroStage == 2) {
    time.backward = std::max(time.backward, reduce);
    time.after += gather;
  } else {
    time.after +=
        std::max(0.0, reduce - time.backward / static_cast<double>(c.virtualStages)) + gather;
  }
  return time;
}

/// All ranks of a tensor group send slices (planner/stage_transfers.h).
double ClosedForm::transferTime(const Candidate& c, const std::vector<int64_t>& starts,
                                const MeshGroups& g) {
  if (c.mesh.pipeline == 1) return 0;
  const Block& last = context_.model.chain.blocks[static_cast<size_t>(starts[1] - 1)];
  return collective(CollectiveKind::sendReceive, costs(c)[last.blockClass].crossing, g.pipeline);
}

/// Over runs of equal stages: what grows along a run counts at its last stage, what falls at its
/// first.
void ClosedForm::time(Candidate& c, const Cut& cut) {
  const MeshGroups& g = groups(c.mesh);
  const auto m = static_cast<double>(space_.globalBatch / c.mesh.replicas() / c.microBatch);
  const auto v = static_cast<double>(c.virtualStages), p = static_cast<double>(c.mesh.pipeline);
  double sum = 0, slowest = 0, tail = 0, before = 0, computeBefore = 0;
  for (const StageRun& run : cut.runs) {
    const StageSums& s = run.sums;
    const StageTime t = timeOf(c, s, g);
    const auto count = static_cast<double>(run.count);
    sum += count * (t.forward + t.backward);
    slowest = std::max(slowest, t.forward + t.backward);
    tail = std::max(tail, t.after - before);
    before += count * t.backward / v;
    const double compute = m * (s.forwardCompute + s.backwardCompute) + t.atLeastAfter;
    c.lowerBound = std::max(c.lowerBound, m * t.dataStream);
    const double first = run.first == 0 ? 0 : s.afterSend;
    const double step = s.firstForward + s.firstBackward;
    c.lowerBound = std::max(c.lowerBound, compute + computeBefore - first);
    computeBefore += step - first + (count - 1) * (step - s.afterSend);
    c.lowerBound = std::max(c.lowerBound, compute + computeBefore - step);
  }
  c.estimate =
      sum / v + (m - 1 / v) * slowest + 2 * (p - 1) * transferTime(c, cut.starts, g) + tail;
}

bool ClosedForm::complete(Candidate& c) {
  const Cut& fastest = fastestCut(c);
  if (fastest.starts.empty()) return false;
  c.memory = memoryOf(c, fastest.runs);
  c.fits = c.memory <= limit_;
  if (c.fits || c.mesh.pipeline == 1 || !mayFit(c, fastest)) {
    time(c, fastest);
    return true;
  }
  const Cut limited = limitedCut(c);
  const Cut& cut = limited.starts.empty() ? fastest : limited;
  c.memory = memoryOf(c, cut.runs);
  c.fits = c.memory <= limit_;
  time(c, cut);
  return true;
}

}  // namespace meshplan
