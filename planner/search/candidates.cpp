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

double reserveBytes(const PlanContext& context, const MeshShape& mesh) {
  const MemoryReserve r = reserveOf(context.cluster.specs().front(), mesh);
  return static_cast<double>((r.framework + r.communication + r.workspace).value);
}

}  // namespace

/// One pipeline stage in closed form; times in seconds per micro-batch.
struct Candidates::Stage {
  double forward = 0, backward = 0;                // with blocking communication and recomputation
  double forwardCompute = 0, backwardCompute = 0;  // without communication
  double firstForward = 0, firstBackward = 0;      // compute of the stage's first chunk
  /// Weight gradients that may follow the send of the first chunk's input gradient.
  double afterSend = 0;
  double dense = 0, expert = 0;    // parameter elements
  double resident = 0, saved = 0;  // bytes; saved is already times the micro-batches in flight
};

struct Candidates::Cut {
  std::vector<int64_t> starts;  // empty: the model has too few blocks
  std::vector<Stage> stages;
  double memory = 0;
};

/// Seconds of a stage with data-parallel communication: per micro-batch, and once after the last.
struct Candidates::StageTime {
  double forward, backward, after;
};

struct Candidates::Groups {
  GroupTopology tensor, expert, data, replicas, pipeline;
};

Candidates::Candidates(const PlanContext& context, SearchSpace space)
    : context_(context), space_(std::move(space)), problem_(context.model) {
  const TrainingOptions& t = context.model.options;
  const DType stored = storageDType(t.precision);
  bytes_.weight = static_cast<double>(dtypeBytes(stored));
  bytes_.gradient =
      static_cast<double>(dtypeBytes(isMixed(t.precision) ? t.gradientDType : stored));
}

Candidates::~Candidates() = default;

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
        shardingIndex_[key] = static_cast<uint32_t>(shardings_.size());
        shardings_.push_back({key, {}});
      }
    }
  std::vector<const Groups*> where;
  for (const Shardings& s : shardings_)
    where.push_back(
        &groups({s.key.tensor, s.key.expert, devices / (s.key.tensor * s.key.expert), 1}));
  parallelFor(shardings_.size(), space_.threads, [&](size_t i) {
    Shardings& s = shardings_[i];
    if (space_.stop && space_.stop()) return;
    ShardingProblem::Question question;
    question.mesh = {s.key.tensor, s.key.expert, s.key.microBatch * s.key.expert};
    question.tensorGroup = where[i]->tensor;
    question.expertGroup = where[i]->expert;
    question.sequenceParallel = space_.filter.sequenceParallel.value_or(true);
    question.wholeSequence = !space_.filter.sequenceParallel.value_or(false);
    try {
      s.points = problem_.solve(question, context_.cost);
    } catch (const Error& e) {
      // A micro-batch that the model's shapes do not scale to is no candidate.
      if (e.kind() != ErrorKind::usage) throw;
    }
  });
}

void Candidates::enumerateMesh(const MeshShape& mesh, std::vector<Candidate>& out) {
  if (space_.globalBatch % mesh.replicas() != 0) return;
  for (int64_t b : microBatches(space_.globalBatch / mesh.replicas())) {
    const auto found = shardingIndex_.find({mesh.tensor, mesh.expert, b});
    if (found == shardingIndex_.end()) continue;
    for (uint32_t point = 0; point < shardings_[found->second].points.size(); ++point) {
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
        if (complete(c)) out.push_back(c);
      }
    }
}

// --- closed form
// ------------------------------------------------------------------------------------

const ShardingPoint& Candidates::pointOf(const Candidate& c) const {
  return shardings_[c.shardings].points[c.point];
}

double Candidates::blockTime(const Candidate& c, const BlockCost& b) const {
  const double again = c.recompute == Recompute::full        ? b.recomputeFull
                       : c.recompute == Recompute::selective ? b.recomputeSelective
                                                             : 0;
  return b.forward + b.backward + again;
}

double Candidates::savedBytes(const Candidate& c, const BlockCost& b) const {
  return c.recompute == Recompute::full        ? b.savedFull
         : c.recompute == Recompute::selective ? b.savedSelective
                                               : b.saved;
}

double Candidates::residentBytes(const Candidate& c, const BlockCost& b) const {
  const TrainingOptions& t = context_.model.options;
  const double state = 4.0 * (optimizerStates(t.optimizer) + (isMixed(t.precision) ? 1 : 0));
  const auto bytes = [&](double elements, int64_t ranks) {
    const auto n = static_cast<double>(ranks);
    return elements *
           (bytes_.weight / (c.zeroStage >= 3 ? n : 1) +
            bytes_.gradient / (c.zeroStage >= 2 ? n : 1) + state / (c.zeroStage >= 1 ? n : 1));
  };
  return bytes(b.parameters, c.mesh.replicas()) + bytes(b.expertParameters, c.mesh.data);
}

const Candidates::Groups& Candidates::groups(const MeshShape& mesh) const {
  std::unique_ptr<Groups>& g = groups_[{mesh.tensor, mesh.expert, mesh.data, mesh.pipeline}];
  if (!g) {
    const DeviceMesh view(context_.cluster, mesh);
    g = std::make_unique<Groups>();
    g->tensor = describeGroup(context_.cluster, view, MeshAxis::tensor);
    g->expert = describeGroup(context_.cluster, view, MeshAxis::expert);
    g->data = describeGroup(context_.cluster, view, MeshAxis::data);
    g->replicas = describeGroup(context_.cluster, view, MeshAxis::data | MeshAxis::expert);
    g->pipeline = describeGroup(context_.cluster, view, MeshAxis::pipeline);
  }
  return *g;
}

const std::vector<int64_t>& Candidates::held(const Candidate& c, int64_t stage) const {
  const int64_t m = space_.globalBatch / c.mesh.replicas() / c.microBatch;
  auto& stages = inFlight_[{static_cast<int>(c.schedule), c.mesh.pipeline, m, c.virtualStages}];
  for (int64_t s = static_cast<int64_t>(stages.size()); s <= stage; ++s)
    stages.push_back(inFlight(c.schedule, s, c.mesh.pipeline, m, c.virtualStages));
  return stages[static_cast<size_t>(stage)];
}

std::vector<int64_t> Candidates::cut(const Candidate& c, bool limited) const {
  const int64_t chunks = c.mesh.pipeline * c.virtualStages;
  if (space_.filter.evenStages) return evenStages(context_.model.chain, chunks);
  const auto cached =
      std::tuple(c.shardings, c.point, static_cast<int>(c.recompute), chunks, int64_t{limited});
  if (!limited)
    if (const auto at = cuts_.find(cached); at != cuts_.end()) return at->second;
  const ShardingPoint& point = pointOf(c);
  CutProblem problem;
  for (const Block& block : context_.model.chain.blocks) {
    const BlockCost& cost = point.blocks[block.blockClass];
    problem.time.push_back(blockTime(c, cost));
    problem.weight.push_back(residentBytes(c, cost));
    problem.saved.push_back(savedBytes(c, cost));
  }
  const auto n = static_cast<size_t>(chunks);
  problem.capacity.assign(n, std::numeric_limits<double>::infinity());
  problem.inFlight.assign(n, 1);
  if (limited) {
    const double free =
        static_cast<double>(context_.memoryLimit.value) - reserveBytes(context_, c.mesh);
    for (int64_t s = 0; s < c.mesh.pipeline; ++s) {
      const std::vector<int64_t>& inFlight = held(c, s);
      for (int64_t v = 0; v < c.virtualStages; ++v) {
        const auto chunk = static_cast<size_t>(v * c.mesh.pipeline + s);
        problem.capacity[chunk] = free / static_cast<double>(c.virtualStages);
        problem.inFlight[chunk] = static_cast<double>(inFlight[static_cast<size_t>(v)]);
      }
    }
  }
  std::vector<int64_t> starts = cutStages(problem);
  if (!limited) cuts_[cached] = starts;
  return starts;
}

std::vector<Candidates::Stage> Candidates::stagesOf(const Candidate& c,
                                                    const std::vector<int64_t>& starts) const {
  const ShardingPoint& point = pointOf(c);
  const int64_t p = c.mesh.pipeline;
  std::vector<Stage> stages(static_cast<size_t>(p));
  for (int64_t s = 0; s < p; ++s) {
    Stage& stage = stages[static_cast<size_t>(s)];
    const std::vector<int64_t>& inFlight = held(c, s);
    for (int64_t v = 0; v < c.virtualStages; ++v) {
      const auto chunk = static_cast<size_t>(v * p + s);
      for (int64_t i = starts[chunk]; i < starts[chunk + 1]; ++i) {
        const BlockCost& b =
            point.blocks[context_.model.chain.blocks[static_cast<size_t>(i)].blockClass];
        const double forward = b.forward - b.forwardCommunication;
        const double backward = std::max(0.0, b.backward - b.backwardCommunication);
        stage.forward += b.forward;
        stage.backward += blockTime(c, b) - b.forward;
        stage.forwardCompute += forward;
        stage.backwardCompute += backward;
        if (v == 0 && i == starts[chunk]) stage.afterSend = b.weightGradients;
        if (v == 0) {
          stage.firstForward += forward;
          stage.firstBackward += backward;
        }
        stage.dense += b.parameters;
        stage.expert += b.expertParameters;
        stage.resident += residentBytes(c, b);
        stage.saved += static_cast<double>(inFlight[static_cast<size_t>(v)]) * savedBytes(c, b);
      }
    }
  }
  return stages;
}

double Candidates::memoryOf(const Candidate& c, const std::vector<Stage>& stages) const {
  double worst = 0;
  for (const Stage& s : stages) worst = std::max(worst, s.resident + s.saved);
  return worst + reserveBytes(context_, c.mesh);
}

/// The fastest cut; when that is too large and another fits, the fastest that fits.
Candidates::Cut Candidates::bestCut(const Candidate& c) const {
  Cut fastest;
  fastest.starts = cut(c, false);
  if (fastest.starts.empty()) return fastest;
  fastest.stages = stagesOf(c, fastest.starts);
  fastest.memory = memoryOf(c, fastest.stages);
  const auto limit = static_cast<double>(context_.memoryLimit.value);
  if (fastest.memory <= limit || c.mesh.pipeline == 1) return fastest;
  Cut limited;
  limited.starts = cut(c, true);
  if (limited.starts.empty()) return fastest;
  limited.stages = stagesOf(c, limited.starts);
  limited.memory = memoryOf(c, limited.stages);
  return limited;
}

/// A collective in buckets.
double Candidates::bucketed(CollectiveKind kind, double bytes, const GroupTopology& group) const {
  if (bytes <= 0 || group.ranks <= 1) return 0;
  const double buckets = std::max(1.0, std::ceil(bytes / static_cast<double>(space_.bucketBytes)));
  const Bytes each(static_cast<int64_t>(bytes / buckets));
  return buckets * context_.cost.collectiveTime(kind, each, group).time.value;
}

double Candidates::updateTime(const Candidate& c, const Stage& s) const {
  const TrainingOptions& t = context_.model.options;
  const bool sharded = c.zeroStage >= 1;
  const double elements = s.dense / static_cast<double>(sharded ? c.mesh.replicas() : 1) +
                          s.expert / static_cast<double>(sharded ? c.mesh.data : 1);
  OperatorWork update;
  update.def = &operatorDef("Update");
  update.phase = Phase::update;
  update.bytes =
      elements * (bytes_.gradient + 8 + bytes_.weight + 8.0 * optimizerStates(t.optimizer));
  return context_.cost.operatorTime(update).time.value;
}

/// ZeRO-3 hides its gathering and scattering behind each micro-batch, ZeRO-2 its scattering;
/// otherwise the last micro-batch's backward pass hides the reduction.
Candidates::StageTime Candidates::timeOf(const Candidate& c, const Stage& s,
                                         const Groups& g) const {
  const auto kind = c.zeroStage == 0 ? CollectiveKind::allReduce : CollectiveKind::reduceScatter;
  const double reduce = bucketed(kind, s.dense * bytes_.gradient, g.replicas) +
                        bucketed(kind, s.expert * bytes_.gradient, g.data);
  const double gather =
      c.zeroStage == 0 ? 0
                       : bucketed(CollectiveKind::allGather, s.dense * bytes_.weight, g.replicas) +
                             bucketed(CollectiveKind::allGather, s.expert * bytes_.weight, g.data);
  StageTime time{s.forward, s.backward, updateTime(c, s)};
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

double Candidates::transferTime(const Candidate& c, const std::vector<int64_t>& starts,
                                const Groups& g) const {
  if (c.mesh.pipeline == 1) return 0;
  const Block& last = context_.model.chain.blocks[static_cast<size_t>(starts[1] - 1)];
  const Bytes bytes(static_cast<int64_t>(pointOf(c).blocks[last.blockClass].crossing));
  return context_.cost.collectiveTime(CollectiveKind::sendReceive, bytes, g.pipeline).time.value;
}

bool Candidates::complete(Candidate& c) const {
  const Cut cut = bestCut(c);
  if (cut.starts.empty()) return false;
  c.memory = cut.memory;
  c.fits = c.memory <= static_cast<double>(context_.memoryLimit.value);
  const Groups& g = groups(c.mesh);
  const auto m = static_cast<double>(space_.globalBatch / c.mesh.replicas() / c.microBatch);
  const auto v = static_cast<double>(c.virtualStages), p = static_cast<double>(c.mesh.pipeline);
  double sum = 0, slowest = 0, tail = 0, before = 0, computeBefore = 0;
  for (const Stage& s : cut.stages) {
    const StageTime time = timeOf(c, s, g);
    sum += time.forward + time.backward;
    slowest = std::max(slowest, time.forward + time.backward);
    tail = std::max(tail, time.after - before);
    before += time.backward / v;
    if (&s != cut.stages.data()) computeBefore -= s.afterSend;
    c.lowerBound =
        std::max(c.lowerBound, m * (s.forwardCompute + s.backwardCompute) + computeBefore);
    computeBefore += s.firstForward + s.firstBackward;
  }
  c.estimate =
      sum / v + (m - 1 / v) * slowest + 2 * (p - 1) * transferTime(c, cut.starts, g) + tail;
  return true;
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
  plan.chunkStarts = bestCut(c).starts;
  return plan;
}

}  // namespace meshplan
