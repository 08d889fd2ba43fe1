// SPDX-License-Identifier: Apache-2.0
#include "cli/measuring.h"

#include <algorithm>
#include <ctime>

#include "backend/learned_rows.h"
#include "backend/link_probe.h"
#include "planner/lowering.h"
#include "planner/simulator.h"

namespace meshplan {
namespace {

double sum(const std::vector<double>& values) {
  double total = 0;
  for (double v : values) total += v;
  return total;
}

constexpr const char* kSweep = "collectives";  // the source of its rows

bool knowsSweep(const ProfileStore& store, const RankBackend& backend, int ranks) {
  for (const CollectiveMeasurement& row : store.collectives(backend.environment().device))
    if (row.source.text == kSweep && row.transport == backend.transport() && row.ranks == ranks)
      return true;
  return false;
}

LinkProbeOptions allKinds(RankParts& parts) {
  LinkProbeOptions options;
  options.kinds = {CollectiveKind::allReduce, CollectiveKind::reduceScatter,
                   CollectiveKind::allGather, CollectiveKind::allToAll,
                   CollectiveKind::broadcast, CollectiveKind::sendReceive};
  options.least = Bytes(1 << 10);
  options.most = Bytes(int64_t{256} << 20);
  options.parts = &parts;
  return options;
}

}  // namespace

size_t sweepCollectives(RankBackend& backend, int ranks, ProfileStore& store, bool again) {
  if (ranks < 2 || !backend.teaches() || (!again && knowsSweep(store, backend, ranks))) return 0;
  CollectiveMeasurement like;
  like.environment = backend.environment();
  like.source = {Origin::measured, kSweep, std::time(nullptr)};
  like.transport = backend.transport();
  LinkProbe found;
  backend.runThreads(ranks, [&](Communicator& world) {
    RankParts parts = backend.open(world);
    runTogether(parts, [&] {
      LinkProbe own = probeLink(world, LinkKind::nvlink, like, allKinds(parts));
      if (world.rank() == 0) found = std::move(own);
    });
  });
  store.add(found.rows);
  return found.rows.size();
}

Measuring::Measuring(const Planning& planning, const std::vector<Plan>& plans, RankBackend& backend,
                     const LocalRanks& ranks)
    : planning_(planning), backend_(backend), ranks_(ranks) {
  for (const Plan& plan : plans) {
    candidates_.push_back(candidateOf(plan));
    for (const auto& [key, seconds] : candidates_.back().seconds) missing_.insert(key);
  }
  wanted_ = missing_.size();
}

Measuring::Candidate Measuring::candidateOf(const Plan& plan) const {
  const Program program = lower(planning_.training(), plan, {});
  const InstructionTimes times =
      costProgram(program, planning_.cluster(), planning_.context().cost);
  Candidate candidate{&plan, {}};
  for (const RankClass& rankClass : program.rankClasses)
    for (const Call& call : rankClass.calls) {
      const auto& instructions = program.routines[call.routine].instructions;
      for (size_t i = 0; i < instructions.size(); ++i) {
        const Instruction& in = instructions[i];
        const double seconds = times.times[call.routine][i].value;
        if (in.kind == Instruction::Kind::compute) {
          candidate.seconds[{workKey(program.work[in.work]), 0, 0, 0, 0}] += seconds;
        } else if (in.participants == 0) {
          const GroupShape g = groupShape(program, in);
          if (g.ranks > 1)
            candidate.seconds[{0, static_cast<int>(g.kind), in.bytes.value, g.ranks, g.groups}] +=
                seconds;
        }
      }
    }
  return candidate;
}

void Measuring::skipKnown(const ProfileStore& store) {
  const std::string device = backend_.environment().device;
  for (const OperatorMeasurement& row : store.operators(device))
    missing_.erase({workKey(row.work), 0, 0, 0, 0});
  for (const CollectiveMeasurement& row : store.collectives(device))
    if (row.transport == backend_.transport())
      missing_.erase({0, static_cast<int>(row.kind), row.bytes.value, row.ranks, row.groups});
}

double Measuring::promise(const Candidate& c) const {
  double unknown = 0, step = 0;
  for (const auto& [key, seconds] : c.seconds) {
    const double each = seconds + 1e-9;  // views take none, and are to be known too
    step += each;
    if (missing_.count(key)) unknown += each;
  }
  return unknown / (step * step);
}

Measuring::Progress Measuring::measureNext(ProfileStore& store, const std::function<bool()>& stop) {
  const auto best =
      std::max_element(candidates_.begin(), candidates_.end(),
                       [&](const auto& a, const auto& b) { return promise(a) < promise(b); });
  const TrainingModel& model = planning_.training();
  const Program program = lower(model, *best->plan, {}, LoweredFor::execution);
  TrainingSettings settings;
  settings.optimizer.kind = best->plan->training.optimizer;
  const RecordedTraining recorded =
      recordTraining({model.graph, program, model.referenceBatch, best->plan->globalBatch, {}},
                     settings, backend_, {}, stop);
  RunConditions conditions;
  conditions.environment = backend_.environment();
  const std::string strategy = strategyText(*best->plan, usesSequenceParallel(model, *best->plan));
  conditions.source = {Origin::measured, planning_.modelName() + " " + strategy,
                       std::time(nullptr)};
  conditions.transport = backend_.transport();
  conditions.ownDevices = backend_.ownDevices();
  conditions.cores = ranks_.cores;
  conditions.threads = ranks_.threads;
  const LearnedRows rows = learnedRows(program, recorded.ranks, conditions);
  store.add(rows.operators);
  store.add(rows.collectives);
  for (const auto& [key, seconds] : best->seconds) missing_.erase(key);
  Progress progress{strategy, rows.operators.size(), rows.collectives.size(), 0};
  if (!recorded.seconds.empty() && !recorded.ranks.front().steps.empty())
    progress.overhead = recordingSeconds() *
                        static_cast<double>(recorded.ranks.front().steps.front().size()) *
                        static_cast<double>(recorded.seconds.size()) / sum(recorded.seconds);
  return progress;
}

}  // namespace meshplan
