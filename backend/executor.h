// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <vector>

#include "backend/input_staging.h"
#include "backend/loss_scale.h"
#include "backend/number_check.h"
#include "backend/profiler.h"
#include "backend/rank_device.h"
#include "backend/rank_groups.h"
#include "backend/rank_memory.h"
#include "backend/stream_order.h"
#include "backend/tensor_collective.h"

namespace meshplan {

/// One rank of a training run: interprets the calls of its rank class, instruction by instruction
/// in their order, on a device and with its peers. Whatever the plan is made of (data, tensor,
/// sequence, expert and pipeline parallelism, ZeRO, recomputation) is in the instructions.
class Executor {
 public:
  /// `graph` is the training graph that the program was lowered from. Everything referred to must
  /// outlive the executor. Throws Error(usage) when the world does not fit the plan, Error(runtime)
  /// when the program was not lowered for execution.
  Executor(const Graph& graph, const Program& program, RankDevice& device, Communicator& world);
  /// With data on its own ways (`data`: the same ranks) beside the `world` of the hosts.
  Executor(const Graph& graph, const Program& program, RankDevice& device, Communicator& world,
           Communicator& data);

  struct Options {
    OptimizerSettings optimizer;
    uint64_t seed = 1;  // of random numbers (dropout)
    Profiler* profiler = nullptr;
    NumberCheck* numbers = nullptr;  // is told what every instruction left
  };
  /// Runs one training step and returns the mean loss over the global batch, the same on all ranks.
  /// In fp16 the loss is scaled, which the optimizer does not see. Throws Error(internal) when it
  /// used more or less of the arena than was planned.
  double step(const StepInputs& inputs, const Options& options);

  /// Of fp16 programs; null for all others.
  LossScale* lossScale() { return program_.precision == Precision::fp16 ? &lossScale_ : nullptr; }

  RankMemory& memory() { return memory_; }
  RankGroups& groups() { return groups_; }
  RankDevice& device() { return device_; }
  const Graph& graph() const { return graph_; }
  const Program& program() const { return program_; }

 private:
  /// An instruction made ready for this rank: views with all but the addresses.
  struct Prepared {
    std::vector<TensorView> inputs, outputs;
    std::vector<AxisRange> axes;
    double lossShare = 0;  // of a loss: how much of this rank's value counts in the mean
  };
  struct Step {
    const StepInputs& inputs;
    const Options& options;
    std::vector<bool> written;  // by parameter: whether its gradient was written in this step
  };
  using Site = NumberCheck::Site;  // one instruction of one call

  Prepared prepare(const Routine& routine, size_t index) const;
  std::vector<AxisRange> axesOf(const Binding& binding) const;
  double lossShareOf(OpId loss, const OperatorStrategy& strategy) const;

  std::vector<uint64_t> seedsOf(const Options& options) const;
  void beginScaled(OptimizerSettings optimizer);
  void runCalls(Step& step);
  /// Runs the step, or captures it and runs it, or repeats what was captured.
  void runOrReplay(Step& step);
  bool mayCapture(const Options& options) const;
  void stageInputs(const StepInputs& inputs);
  void runCall(Step& step, uint32_t index);
  /// Chooses the instruction's stream and makes it wait for what touches the same memory.
  void order(const Step& step, const Site& site, Prepared& prepared);
  void addParameterAccesses(const Site& site, std::vector<MemoryAccess>& accesses) const;
  void execute(Step& step, const Site& site, Prepared& prepared);
  void compute(Step& step, const Site& site, Prepared& prepared);
  void computePart(const Site& site, const KernelCall& call);
  void collective(Step& step, const Site& site, Prepared& prepared);
  void shareCollective(Step& step, const Site& site, const Prepared& prepared, size_t i,
                       Communicator& group);
  void scatterGradient(Step& step, const ParameterPlace& p, void* whole, Communicator& group);
  void update(const Binding& binding);
  void findOverflow(const Binding& binding);
  void transfer(const Site& site, const Prepared& prepared);
  void locate(const Step& step, const Site& site, Prepared& prepared);
  void locate(const Step& step, const Site& site, const std::vector<Operand>& operands,
              std::vector<TensorView>& views);
  void checkNumbers(NumberCheck& numbers, const Site& site, const Prepared& prepared);
  void checkArena() const;

  const Graph& graph_;
  const Program& program_;
  RankDevice& device_;
  RankGroups groups_;
  const RankClass& rankClass_;
  RankMemory memory_;
  InputStaging staging_;
  std::array<TensorCollective, kStreams> collectives_;  // staging memory is a stream's own
  StreamOrder order_;
  std::vector<uint64_t> seeds_;  // of the step's micro-batches
  enum class Captured : uint8_t { nothing, warm, step } captured_ = Captured::nothing;
  LossScale lossScale_;
  double scale_ = 1;                                    // of the loss in this step
  std::map<uint32_t, std::vector<Prepared>> prepared_;  // by routine
};

}  // namespace meshplan
