// SPDX-License-Identifier: Apache-2.0
#include "planner/search/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"
#include "planner/lowering.h"
#include "planner/pipeline_schedule.h"
#include "planner/search/parallel.h"
#include "planner/search/stages.h"

namespace meshplan {
namespace {

// More virtual stages shrink a bubble that is already below 1/16 of (p - 1)/m; ask for them by
// name.
constexpr int64_t kMaxVirtualStages = 16;

std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> all;
  for (int64_t i = 1; i <= n / i; ++i)
    if (n % i == 0) {
      all.push_back(i);
      if (i != n / i) all.push_back(n / i);
    }
  std::sort(all.begin(), all.end());
  return all;
}

int64_t expertCount(const TrainingModel& model) {
  int64_t experts = 1;
  for (const BlockClass& c : model.chain.classes) {
    const Block& block = model.chain.blocks[c.first];
    for (uint32_t i = block.begin; i < block.end; ++i)
      for (const Axis& a : scaleForward(model, OpId(i), model.referenceBatch).nest.axes)
        if (a.name == "experts" && a.kind == AxisKind::parallel)
          experts = std::max(experts, a.extent);
  }
  return experts;
}

/// Whether selective recomputation finds anything to drop.
bool hasSelective(const ShardingPoint& point) {
  return std::any_of(point.blocks.begin(), point.blocks.end(),
                     [](const BlockCost& b) { return b.savedSelective < b.saved; });
}

}  // namespace

Candidates::Candidates(const PlanContext& context, SearchSpace space)
    : context_(context),
      space_(std::move(space)),
      problem_(context.model),
      closedForm_(context, space_, answers_) {}

int64_t Candidates::blockCount() const {
  return static_cast<int64_t>(context_.model.chain.blocks.size());
}

// --- the degrees
// ----------------------------------------------------------------------------------

std::vector<int64_t> Candidates::tensorDegrees() const {
  const auto devices = static_cast<int64_t>(context_.cluster.deviceCount());
  // Tensor parallelism over more than four nodes' devices communicates on the network at every
  // layer: never a winner.
  const int64_t most = std::max<int64_t>(4 * context_.cluster.devicesPerNode(), 1);
  std::vector<int64_t> degrees;
  for (int64_t t : divisors(devices))
    if (space_.filter.tensor.allows(t) && (t <= most || space_.filter.tensor.exactly()))
      degrees.push_back(t);
  return degrees;
}

std::vector<int64_t> Candidates::expertDegrees() const {
  std::vector<int64_t> degrees;
  for (int64_t e : divisors(expertCount(context_.model)))
    if (space_.filter.expert.allows(e)) degrees.push_back(e);
  return degrees;
}

std::vector<int64_t> Candidates::microBatches(int64_t perReplica) const {
  std::set<int64_t> sizes;
  for (int64_t b = 1; b <= perReplica; b *= 2) sizes.insert(b);
  if (space_.filter.microBatch.exactly()) sizes.insert(space_.filter.microBatch.min);
  std::vector<int64_t> allowed;
  for (int64_t b : sizes)
    if (perReplica % b == 0 && space_.filter.microBatch.allows(b)) allowed.push_back(b);
  return allowed;
}

std::vector<std::pair<ScheduleKind, int64_t>> Candidates::schedules(int64_t pipeline,
                                                                    int64_t microBatches) const {
  std::vector<std::pair<ScheduleKind, int64_t>> all;
  const auto allowed = [&](ScheduleKind k, int64_t v) {
    return (!space_.filter.schedule || *space_.filter.schedule == k) &&
           space_.filter.virtualStages.allows(v);
  };
  if (allowed(ScheduleKind::oneFOneB, 1)) all.emplace_back(ScheduleKind::oneFOneB, 1);
  if (allowed(ScheduleKind::gpipe, 1) && (pipeline > 1 || space_.filter.schedule))
    all.emplace_back(ScheduleKind::gpipe, 1);
  if (pipeline > 1 && microBatches % pipeline == 0)
    for (int64_t v = 2; v * pipeline <= blockCount(); ++v) {
      if (v > kMaxVirtualStages && !space_.filter.virtualStages.exactly()) break;
      if (allowed(ScheduleKind::interleaved, v)) all.emplace_back(ScheduleKind::interleaved, v);
    }
  return all;
}

// --- enumeration
// ------------------------------------------------------------------------------------

std::vector<Candidate> Candidates::enumerate() {
  solveShardings();
  const auto devices = static_cast<int64_t>(context_.cluster.deviceCount());
  std::vector<Candidate> all;
  for (int64_t t : tensorDegrees())
    for (int64_t p : divisors(devices / t)) {
      if (p > blockCount()) continue;
      for (int64_t e : expertDegrees()) {
        const int64_t rest = devices / t / p;
        if (rest % e != 0) continue;
        const MeshShape mesh{t, e, rest / e, p};
        if (space_.filter.allows(mesh)) enumerateMesh(mesh, all);
      }
    }
  return all;
}

void Candidates::solveShardings() {
  const auto devices = static_cast<int64_t>(context_.cluster.deviceCount());
  for (int64_t t : tensorDegrees())
    for (int64_t e : expertDegrees()) {
      if (devices % (t * e) != 0) continue;
      std::set<int64_t> sizes;
      for (int64_t p : divisors(devices / (t * e))) {
        const int64_t replicas = devices / t / p;
        if (!space_.filter.pipeline.allows(p) || !space_.filter.replicas.allows(replicas)) continue;
        if (p > blockCount() || space_.globalBatch % replicas != 0) continue;
        for (int64_t b : microBatches(space_.globalBatch / replicas)) sizes.insert(b);
      }
      for (int64_t b : sizes) {
        const ShardingKey key{t, e, b};
        answerOf_[key] = static_cast<uint32_t>(answers_.size());
        answers_.push_back({key, {}});
      }
    }
  std::vector<const MeshGroups*> where;
  for (const ShardingAnswer& s : answers_)
    where.push_back(&closedForm_.groups(
        {s.key.tensor, s.key.expert, devices / (s.key.tensor * s.key.expert), 1}));
  parallelFor(answers_.size(), space_.threads, [&](size_t i) {
    ShardingAnswer& s = answers_[i];
    if (space_.stop && space_.stop()) return;
    ShardingProblem::Question question;
    question.mesh = {s.key.tensor, s.key.expert, s.key.microBatch * s.key.expert};
    question.tensorGroup = where[i]->tensor;
    question.expertGroup = where[i]->expert;
    question.sequenceParallel = space_.filter.sequenceParallel.value_or(true);
    question.wholeSequence = !space_.filter.sequenceParallel.value_or(false);
    try {
      s.points = problem_.solve(question, context_.cost);
      // A size that nothing divides (a vocabulary of 50257) leaves tensors whole.
      if (s.points.empty() && !question.wholeSequence) {
        question.wholeSequence = true;
        s.points = problem_.solve(question, context_.cost);
      }
    } catch (const Error& e) {
      // A micro-batch that the model's shapes do not scale to is no candidate.
      if (e.kind() != ErrorKind::usage) throw;
    }
  });
}

void Candidates::enumerateMesh(const MeshShape& mesh, std::vector<Candidate>& out) {
  if (space_.globalBatch % mesh.replicas() != 0) return;
  for (int64_t b : microBatches(space_.globalBatch / mesh.replicas())) {
    const auto found = answerOf_.find({mesh.tensor, mesh.expert, b});
    if (found == answerOf_.end()) continue;
    for (uint32_t point = 0; point < answers_[found->second].points.size(); ++point) {
      if (space_.stop && space_.stop()) return;
      Candidate base;
      base.mesh = mesh;
      base.microBatch = b;
      base.shardings = found->second;
      base.point = point;
      enumerateSchedules(base, out);
    }
  }
}

void Candidates::enumerateSchedules(Candidate base, std::vector<Candidate>& out) {
  const int64_t m = space_.globalBatch / base.mesh.replicas() / base.microBatch;
  for (auto [schedule, v] : schedules(base.mesh.pipeline, m))
    for (Recompute r : {Recompute::none, Recompute::selective, Recompute::full}) {
      if (space_.filter.recompute && *space_.filter.recompute != r) continue;
      if (r == Recompute::selective && !space_.filter.recompute && !hasSelective(pointOf(base)))
        continue;
      for (int zero = 0; zero <= 3; ++zero) {
        const bool pointless = zero > 0 && base.mesh.replicas() == 1;
        if (!space_.filter.zeroStage.allows(zero)) continue;
        if (pointless && !space_.filter.zeroStage.exactly()) continue;
        Candidate c = base;
        c.schedule = schedule;
        c.virtualStages = v;
        c.recompute = r;
        c.zeroStage = zero;
        if (closedForm_.complete(c)) out.push_back(c);
      }
    }
}

const ShardingPoint& Candidates::pointOf(const Candidate& c) const {
  return answers_[c.shardings].points[c.point];
}

Plan Candidates::plan(const Candidate& c) const {
  Plan plan;
  plan.mesh = c.mesh;
  plan.globalBatch = space_.globalBatch;
  plan.microBatch = c.microBatch;
  plan.schedule = c.schedule;
  plan.virtualStages = c.virtualStages;
  plan.recompute = c.recompute;
  plan.zeroStage = c.zeroStage;
  plan.training = context_.model.options;
  plan.bucketBytes = space_.bucketBytes;
  plan.blockingTransfers = space_.filter.blockingTransfers;
  plan.overlapTensor = space_.filter.overlapTensor;
  plan.gatherSingly = space_.filter.gatherSingly;
  plan.strategies = problem_.expand(pointOf(c));
  plan.chunkStarts = closedForm_.starts(c);
  return plan;
}

}  // namespace meshplan
