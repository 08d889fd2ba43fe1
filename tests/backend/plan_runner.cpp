// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/plan_runner.h"

#include <cmath>
#include <mutex>

#include "backend/comm/in_process.h"
#include "backend/cpu/cpu_device.h"
#include "backend/initial_values.h"
#include "backend/parameter_values.h"
#include "backend/training_data.h"
#include "planner/lowering.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

/// Computing is all that costs, so that whatever can be split is.
class SplittingCost : public CostModel {
 public:
  Estimate operatorTime(const OperatorWork& work) const override {
    return {Seconds(work.flops * 1e-6 + work.bytes * 1e-6), 0, Provenance::analytic};
  }
  Estimate collectiveTime(CollectiveKind, Bytes, const GroupTopology&) const override {
    return {Seconds(1e-12), 0, Provenance::analytic};
  }
  double computeSlowdown() const override { return 1; }
  double collectiveSlowdown() const override { return 1; }
};

class RandomCost : public CostModel {
 public:
  explicit RandomCost(uint64_t seed) : seed_(seed) {}
  Estimate operatorTime(const OperatorWork& work) const override {
    return {drawn(work.flops + 3 * work.bytes + 7 * work.outputElements), 0, Provenance::analytic};
  }
  Estimate collectiveTime(CollectiveKind kind, Bytes bytes, const GroupTopology&) const override {
    return {drawn(static_cast<double>(bytes.value) + static_cast<double>(kind)), 0,
            Provenance::analytic};
  }
  double computeSlowdown() const override { return 1; }
  double collectiveSlowdown() const override { return 1; }

 private:
  Seconds drawn(double of) const {
    return Seconds(PlacedRandom(seed_, "cost").uniform(static_cast<uint64_t>(of)) + 1e-3);
  }
  uint64_t seed_;
};

Plan planUnder(const CostModel& cost, const TrainingModel& model, int64_t globalBatch,
               const std::string& strategy, int64_t ranks) {
  const Cluster cluster = loadCluster(std::to_string(ranks) + "xA100-SXM-80GB");
  const PlanContext context(model, cluster, cost, Bytes(int64_t{1} << 40));
  return evaluateStrategy(context, globalBatch, parseStrategy(strategy)).plan;
}

void collectAll(Executor& executor, const TrainingModel& model, ParameterKind kind,
                std::map<std::string, HostTensor>& into) {
  for (size_t t = 0; t < model.graph.tensorCount(); ++t) {
    if (!model.updateOf[t].valid()) continue;
    auto whole = collectParameter(executor, TensorId(t), kind);
    if (executor.groups().world().rank() == 0 && whole)
      into[model.graph.tensor(TensorId(t)).name] = std::move(*whole);
  }
}

/// Copies what an operator makes while it is still in the arena.
class Watch : public Profiler {
 public:
  Watch(Executor& executor, const std::string& name) : executor_(executor), name_(name) {}

  void beginStep() override {}
  void begin(uint32_t, uint32_t) override {}
  void end(uint32_t index, uint32_t instruction) override {
    const RankClass& stage =
        executor_.program().rankClasses[static_cast<size_t>(executor_.groups().stage())];
    const Call& call = stage.calls[index];
    const Routine& routine = executor_.program().routines[call.routine];
    const Instruction& in = routine.instructions[instruction];
    if (in.kind != Instruction::Kind::compute || routine.kind == Routine::Kind::update) return;
    const Operator& op = executor_.graph().op(in.op);
    if (op.name != name_ || op.phase != Phase::forward) return;
    const Operand& out = routine.bindings[instruction].outputs[0];
    value_ = HostTensor(out.type);
    const std::byte* from =
        executor_.memory().buffer(routine, call, BufferIndex(out.index)) + out.offset;
    executor_.device().download(value_.bytes().data(), from,
                                static_cast<int64_t>(value_.bytes().size()));
  }
  HostTensor take() { return std::move(value_); }

 private:
  Executor& executor_;
  const std::string& name_;
  HostTensor value_;
};

void startOnCpu(int ranks, const RankBody& body) {
  runInProcess(ranks, [&](Communicator& world) {
    CpuDevice device(1);
    body(device, world, world);
  });
}

void train(Executor& executor, const TrainingModel& model, const Plan& plan,
           const StepInputs& inputs, const RunSettings& settings, TrainingRun& result) {
  setParameters(executor, [&](TensorId parameter) {
    return settings.initial ? settings.initial(model.graph.tensor(parameter))
                            : initialValues(model.graph, parameter, settings.seed);
  });
  Watch watch(executor, settings.watched);
  const bool first = executor.groups().world().rank() == 0;
  Executor::Options options;
  options.optimizer = settings.optimizer;
  options.optimizer.kind = plan.training.optimizer;
  for (int s = 0; s < settings.steps; ++s) {
    options.optimizer.step = s + 1;
    options.profiler = s == 0 && !settings.watched.empty() ? &watch : nullptr;
    const double loss = executor.step(inputs, options);
    if (first) result.losses.push_back(loss);
    if (s == 0 && first) result.watched = watch.take();
    if (s == 0) collectAll(executor, model, ParameterKind::gradient, result.gradients);
  }
  collectAll(executor, model, ParameterKind::weights, result.weights);
}

}  // namespace

Plan planOf(const TrainingModel& model, int64_t globalBatch, const std::string& strategy,
            int64_t ranks) {
  return planUnder(SplittingCost(), model, globalBatch, strategy, ranks);
}

Plan randomPlanOf(const TrainingModel& model, int64_t globalBatch, const std::string& strategy,
                  int64_t ranks, uint64_t seed) {
  return planUnder(RandomCost(seed), model, globalBatch, strategy, ranks);
}

std::map<uint32_t, HostTensor> randomInputs(const TrainingModel& model, int64_t globalBatch,
                                            uint64_t seed) {
  std::map<uint32_t, HostTensor> inputs;
  for (uint32_t t = 0; t < model.graph.tensorCount(); ++t)
    if (model.graph.tensor(TensorId(t)).kind == TensorKind::input)
      inputs.emplace(
          t, randomInput(model.graph, TensorId(t), model.referenceBatch, globalBatch, seed));
  return inputs;
}

TrainingRun runPlan(const TrainingModel& model, const Plan& plan,
                    const std::map<uint32_t, HostTensor>& inputs, const RunSettings& settings) {
  Program program = lower(model, plan, {}, LoweredFor::execution);
  if (settings.change) settings.change(program);
  validate(program);
  StepInputs views;
  for (const auto& [id, tensor] : inputs) views[id] = tensor.view();
  TrainingRun result;
  const StartRanks& start = settings.start ? settings.start : startOnCpu;
  start(static_cast<int>(plan.mesh.ranks()),
        [&](RankDevice& device, Communicator& world, Communicator& data) {
          Executor executor(model.graph, program, device, world, data);
          train(executor, model, plan, views, settings, result);
        });
  return result;
}

double worstDifference(const std::map<std::string, HostTensor>& a,
                       const std::map<std::string, HostTensor>& b, std::string* where) {
  double worst = 0;
  for (const auto& [name, tensor] : a) {
    const auto other = b.find(name);
    if (other == b.end() || !(other->second.type() == tensor.type())) {
      if (where) *where = name + " (missing, or of another type)";
      return INFINITY;
    }
    const std::vector<double> x = toDoubles(tensor), y = toDoubles(other->second);
    double largest = 1e-300, difference = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(x[i]));
      difference = std::max(difference, std::isnan(x[i] - y[i]) ? INFINITY : std::abs(x[i] - y[i]));
    }
    if (difference / largest <= worst) continue;
    worst = difference / largest;
    if (where) *where = name;
  }
  return worst;
}

}  // namespace meshplan
