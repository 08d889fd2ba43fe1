// SPDX-License-Identifier: Apache-2.0
#include "backend/executor.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "core/error.h"

namespace meshplan {
namespace {

const RankClass& classOf(const Program& program, int stage) {
  return program.rankClasses[static_cast<size_t>(stage)];
}

/// A seed of its own for every step's group of samples (splitmix64's finaliser).
uint64_t mixed(uint64_t seed, uint64_t value) {
  uint64_t z = seed + (value + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <size_t... i>
std::array<TensorCollective, sizeof...(i)> collectivesOn(RankDevice& device,
                                                         std::index_sequence<i...>) {
  return {((void)i, TensorCollective(device))...};
}

MemoryAccess accessOf(const void* begin, int64_t bytes, bool writes) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  return {address, address + static_cast<uintptr_t>(bytes), writes};
}

bool movesParameters(const Binding& binding) {
  if (binding.part == Binding::Part::overflow) return false;
  return binding.inputs[0].place != Operand::Place::buffer ||
         binding.outputs[0].place != Operand::Place::buffer;
}

}  // namespace

Executor::Executor(const Graph& graph, const Program& program, RankDevice& device,
                   Communicator& world)
    : Executor(graph, program, device, world, world) {}

Executor::Executor(const Graph& graph, const Program& program, RankDevice& device,
                   Communicator& world, Communicator& data)
    : graph_(graph),
      program_(program),
      device_(device),
      groups_(program, world, data),
      rankClass_(classOf(program, groups_.stage())),
      memory_(rankClass_, groups_, device),
      staging_(graph, program, groups_.coordinates(), device),
      collectives_(collectivesOn(device, std::make_index_sequence<kStreams>())) {
  device_.computeIn(program.precision);
  for (const Call& call : rankClass_.calls) {
    const Routine& routine = program.routines[call.routine];
    if (routine.bindings.size() != routine.instructions.size())
      throw Error(ErrorKind::runtime, "the program was lowered for simulation only");
    const auto [at, isNew] = prepared_.try_emplace(call.routine);
    if (!isNew) continue;
    for (size_t i = 0; i < routine.instructions.size(); ++i)
      at->second.push_back(prepare(routine, i));
  }
}

Executor::Prepared Executor::prepare(const Routine& routine, size_t index) const {
  const Instruction& in = routine.instructions[index];
  const Binding& binding = routine.bindings[index];
  Prepared p;
  for (const Operand& o : binding.inputs) p.inputs.push_back({nullptr, o.type});
  for (const Operand& o : binding.outputs) p.outputs.push_back({nullptr, o.type});
  if (in.kind != Instruction::Kind::compute || binding.extents.empty()) return p;
  p.axes = axesOf(binding);
  const Operator& op = graph_.op(in.op);
  if (op.def->opClass == OpClass::loss && op.outputSlots.empty())
    p.lossShare = lossShareOf(in.op, binding.strategy);
  return p;
}

/// Where both axes split one loop, the tensor axis takes the outer parts (RoutineBuilder::convert).
std::vector<AxisRange> Executor::axesOf(const Binding& binding) const {
  std::vector<AxisRange> ranges;
  for (size_t a = 0; a < binding.extents.size(); ++a) {
    AxisRange r{0, binding.extents[a], binding.extents[a]};
    for (MeshAxis mesh : {MeshAxis::tensor, MeshAxis::expert})
      if (binding.strategy.on(mesh) == static_cast<int8_t>(a)) {
        r.extent /= program_.mesh.size(mesh);
        r.begin += groups_.coordinate(mesh) * r.extent;
      }
    ranges.push_back(r);
  }
  return ranges;
}

/// Ranks that hold the same value count once, ranks with summands all; micro-batches and replicas
/// are averaged.
double Executor::lossShareOf(OpId id, const OperatorStrategy& strategy) const {
  const Operator& op = graph_.op(id);
  const LoopNest nest =
      op.def->nest({op.attributes, graph_.inputTypes(id), graph_.outputTypes(id)});
  for (MeshAxis mesh : {MeshAxis::tensor, MeshAxis::expert}) {
    const int8_t axis = strategy.on(mesh);
    const bool summands =
        axis >= 0 && nest.axes[static_cast<size_t>(axis)].kind == AxisKind::reduce;
    if (!summands && groups_.coordinate(mesh) != 0) return 0;
  }
  return 1.0 / static_cast<double>(program_.microBatches * program_.mesh.data);
}

double Executor::step(const StepInputs& inputs, const Options& options) {
  Step step{inputs, options, std::vector<bool>(memory_.parameters().size())};
  if (options.profiler) options.profiler->beginStep();
  seeds_ = seedsOf(options);
  order_.clear();
  beginScaled(options.optimizer);
  if (device_.hasStreams()) stageInputs(inputs);
  runOrReplay(step);
  StepResult result = device_.endStep();
  if (options.profiler) options.profiler->endStep();
  checkArena();
  groups_.world().allReduce(&result.loss, 1, DType::f64, ReduceOp::sum);
  if (lossScale()) lossScale_.finishStep(result.overflowed);
  return result.loss;
}

/// What is captured holds the scale it was captured with.
void Executor::beginScaled(OptimizerSettings optimizer) {
  const double scale = lossScale() ? lossScale_.scale : 1;
  if (scale != scale_ && captured_ == Captured::step) captured_ = Captured::warm;
  scale_ = scale;
  optimizer.step -= lossScale_.skippedSteps;
  device_.beginStep({optimizer, seeds_, scale_});
}

void Executor::runCalls(Step& step) {
  for (uint32_t c = 0; c < rankClass_.calls.size(); ++c) runCall(step, c);
}

bool Executor::mayCapture(const Options& options) const {
  return device_.canCapture() && groups_.canCapture() && !options.profiler && !options.numbers;
}

// The first step runs as it is issued: kernels choose their algorithms and take their memory.
void Executor::runOrReplay(Step& step) {
  if (!mayCapture(step.options)) return runCalls(step);
  if (captured_ == Captured::nothing) {
    runCalls(step);
    captured_ = Captured::warm;
    return;
  }
  if (captured_ == Captured::warm) {
    device_.beginCapture();
    runCalls(step);
    device_.endCapture();
    captured_ = Captured::step;
  }
  device_.replay();
}

// Weights may have been set since the last step: all streams begin after that and the inputs.
void Executor::stageInputs(const StepInputs& inputs) {
  device_.use(Stream::compute);
  for (int s = 1; s < kStreams; ++s) device_.waitFor(static_cast<Stream>(s));
  std::set<std::tuple<uint32_t, int8_t, int8_t, int64_t>> staged;
  for (const Call& call : rankClass_.calls)
    for (const Binding& binding : program_.routines[call.routine].bindings)
      for (const Operand& o : binding.inputs)
        if (o.place == Operand::Place::input &&
            staged.insert({o.index, o.tensorDim, o.expertDim, call.microBatch}).second)
          staging_.stage(inputs, o, call.microBatch);
  for (int s = 1; s < kStreams; ++s) {
    device_.use(static_cast<Stream>(s));
    device_.waitFor(Stream::compute);
  }
}

std::vector<uint64_t> Executor::seedsOf(const Options& options) const {
  const uint64_t ofStep = mixed(options.seed, static_cast<uint64_t>(options.optimizer.step));
  std::vector<uint64_t> seeds;
  for (int64_t m = 0; m < program_.microBatches; ++m)
    seeds.push_back(mixed(ofStep, static_cast<uint64_t>(m * program_.mesh.data +
                                                        groups_.coordinate(MeshAxis::data))));
  return seeds;
}

void Executor::checkArena() const {
  if (memory_.used() != memory_.planned())
    throw Error(ErrorKind::internal,
                fmt::format("the step reached byte {} of an arena planned for {}",
                            memory_.used().value, memory_.planned().value));
}

void Executor::runCall(Step& step, uint32_t index) {
  const Call& call = rankClass_.calls[index];
  const Routine& routine = program_.routines[call.routine];
  std::vector<Prepared>& prepared = prepared_.at(call.routine);
  for (uint32_t i = 0; i < prepared.size(); ++i) {
    const Site site{routine, call, i};
    // The wait for other streams is not the instruction's; bringing its inputs is, on a processor.
    if (device_.hasStreams()) order(step, site, prepared[i]);
    if (step.options.profiler) step.options.profiler->begin(index, i);
    if (!device_.hasStreams()) locate(step, site, prepared[i]);
    execute(step, site, prepared[i]);
    if (step.options.profiler) step.options.profiler->end(index, i);
    if (step.options.numbers) checkNumbers(*step.options.numbers, site, prepared[i]);
  }
}

void Executor::execute(Step& step, const Site& site, Prepared& prepared) {
  switch (site.instruction().kind) {
    case Instruction::Kind::compute:
      return compute(step, site, prepared);
    case Instruction::Kind::collective:
      return collective(step, site, prepared);
    case Instruction::Kind::send:
    case Instruction::Kind::receive:
      return transfer(site, prepared);
  }
}

void Executor::order(const Step& step, const Site& site, Prepared& prepared) {
  locate(step, site, prepared);
  std::vector<MemoryAccess> accesses;
  for (const TensorView& v : prepared.inputs)
    accesses.push_back(accessOf(v.data, v.type.bytes().value, false));
  for (const TensorView& v : prepared.outputs)
    accesses.push_back(accessOf(v.data, v.type.bytes().value, true));
  addParameterAccesses(site, accesses);
  const Stream stream = site.instruction().stream;
  device_.use(stream);
  const uint8_t waits = order_.issue(stream, accesses);
  for (int s = 0; s < kStreams; ++s)
    if (waits & streamBit(static_cast<Stream>(s))) device_.waitFor(static_cast<Stream>(s));
}

/// Updates and collectives of flat parameters touch more than their operands say: states, padding.
void Executor::addParameterAccesses(const Site& site, std::vector<MemoryAccess>& accesses) const {
  const Binding& binding = site.binding();
  const bool updates = site.routine.kind == Routine::Kind::update &&
                       site.instruction().kind == Instruction::Kind::compute;
  const auto add = [&](const Operand& o) {
    if (o.place != Operand::Place::weights && o.place != Operand::Place::gradient) return;
    const ParameterPlace& p = memory_.parameter(o.index);
    const int64_t kept = p.shareElements, whole = p.paddedElements();
    const int64_t stateBytes = kept * dtypeBytes(DType::f64);
    if (updates || o.place == Operand::Place::weights)
      accesses.push_back(accessOf(
          memory_.weights(p), (p.weightsShared ? kept : whole) * dtypeBytes(p.type.dtype), true));
    if (updates || o.place == Operand::Place::gradient)
      accesses.push_back(accessOf(memory_.gradient(p),
                                  (p.gradientShared ? kept : whole) * dtypeBytes(p.gradientType),
                                  true));
    for (int64_t offset : {p.master, p.states[0], p.states[1]})
      if (updates && offset >= 0)
        accesses.push_back(accessOf(memory_.state(offset), stateBytes, true));
  };
  if (updates || binding.part == Binding::Part::overflow)
    if (float* const overflow = device_.overflow())
      accesses.push_back(accessOf(overflow, sizeof *overflow, true));
  const bool shares =
      site.instruction().kind == Instruction::Kind::collective && movesParameters(binding);
  if (!updates && !shares) return;
  for (const Operand& o : binding.inputs) add(o);
  for (const Operand& o : binding.outputs) add(o);
}

void Executor::locate(const Step& step, const Site& site, Prepared& prepared) {
  locate(step, site, site.binding().inputs, prepared.inputs);
  locate(step, site, site.binding().outputs, prepared.outputs);
}

void Executor::locate(const Step& step, const Site& site, const std::vector<Operand>& operands,
                      std::vector<TensorView>& views) {
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& o = operands[i];
    switch (o.place) {
      case Operand::Place::buffer:
        views[i].data = memory_.buffer(site.routine, site.call, o.index) + o.offset;
        break;
      case Operand::Place::weights:
        views[i].data = memory_.weights(memory_.parameter(o.index));
        break;
      case Operand::Place::gradient:
        views[i].data = memory_.gradient(memory_.parameter(o.index));
        break;
      case Operand::Place::input:
        views[i].data = staging_.fetch(step.inputs, o, site.call.microBatch);
        break;
    }
  }
}

void Executor::compute(Step& step, const Site& site, Prepared& prepared) {
  const Binding& binding = site.binding();
  if (binding.part == Binding::Part::overflow) return findOverflow(binding);
  if (site.routine.kind == Routine::Kind::update) return update(binding);
  if (binding.part == Binding::Part::copy)
    return collectives_[0].slice(groups_.over(binding.axis).rank(), prepared.inputs[0],
                                 prepared.outputs[0], binding.cut);
  KernelCall call;
  call.op = &graph_.op(site.instruction().op);
  call.inputs = prepared.inputs;
  call.outputs = prepared.outputs;
  call.axes = prepared.axes;
  call.lossScale = scale_ / static_cast<double>(program_.microBatches * program_.mesh.data);
  call.seedSlot = site.call.microBatch;
  call.seed = seeds_[static_cast<size_t>(call.seedSlot)];
  for (size_t o = 0; o < binding.outputs.size(); ++o) {
    if (binding.outputs[o].place != Operand::Place::gradient) continue;
    const size_t parameter = memory_.indexOf(binding.outputs[o].index);
    if (step.written[parameter]) call.accumulate |= 1u << o;
    step.written[parameter] = true;
  }
  computePart(site, call);
  if (prepared.lossShare > 0 && binding.part != Binding::Part::statistics)
    device_.addLoss(prepared.outputs[0], prepared.lossShare);
}

void Executor::computePart(const Site& site, const KernelCall& call) {
  const Binding::Part part = site.binding().part;
  if (part == Binding::Part::statistics) return device_.lossStatistics(call, call.outputs[0]);
  if (part == Binding::Part::finish) return device_.lossFinish(call, call.inputs[0]);
  const bool splitLoss =
      call.op->def->opClass == OpClass::loss && call.inputs.size() > call.op->inputs.size();
  if (splitLoss) return device_.lossGradient(call, call.inputs.back());
  device_.run(call);
}

void Executor::collective(Step& step, const Site& site, Prepared& prepared) {
  const Instruction& in = site.instruction();
  const Binding& binding = site.binding();
  Communicator& group = groups_.of(in);
  if (binding.part == Binding::Part::overflow)
    return group.allReduce(device_.overflow(), 1, DType::f32, ReduceOp::max);
  TensorCollective& collective = collectives_[static_cast<size_t>(in.stream)];
  if (movesParameters(binding)) {
    for (size_t i = 0; i < binding.inputs.size(); ++i)
      shareCollective(step, site, prepared, i, group);
    return;
  }
  switch (in.collective) {
    case CollectiveKind::allReduce:
      return collective.allReduce(group, prepared.inputs[0], prepared.outputs[0]);
    case CollectiveKind::reduceScatter:
      return collective.reduceScatter(group, prepared.inputs[0], prepared.outputs[0], binding.cut);
    case CollectiveKind::allGather:
      return collective.allGather(group, prepared.inputs[0], prepared.outputs[0], binding.join);
    case CollectiveKind::allToAll:
      return collective.allToAll(group, prepared.inputs[0], prepared.outputs[0], binding.cut,
                                 binding.join);
    default:
      throw Error(ErrorKind::internal,
                  fmt::format("a rank cannot execute {}", collectiveName(in.collective)));
  }
}

/// Flat memory of one parameter: gradients are reduced, in place or into the share that is kept;
/// weights are gathered from shares.
void Executor::shareCollective(Step& step, const Site& site, const Prepared& prepared, size_t i,
                               Communicator& group) {
  const Binding& binding = site.binding();
  const bool gathers = site.instruction().collective == CollectiveKind::allGather;
  const ParameterPlace& p =
      memory_.parameter((gathers ? binding.inputs : binding.outputs)[i].index);
  if (gathers) {
    const int64_t bytes = p.shareElements * dtypeBytes(p.type.dtype);
    group.allGather(memory_.ownWeights(p), prepared.outputs[i].data, bytes);
  } else if (site.instruction().collective == CollectiveKind::allReduce) {
    group.allReduce(memory_.ownGradient(p), p.shareElements, p.gradientType, ReduceOp::sum);
  } else {
    scatterGradient(step, p, prepared.inputs[i].data, group);
  }
}

void Executor::scatterGradient(Step& step, const ParameterPlace& p, void* whole,
                               Communicator& group) {
  const int64_t element = dtypeBytes(p.gradientType), share = p.shareElements * element;
  auto* from = static_cast<std::byte*>(whole);
  const int64_t used = p.type.elements() * element;
  device_.zero(from + used, p.paddedElements() * element - used);
  std::byte* own = from + memory_.shareStart(p) * element;
  group.reduceScatter(from, own, p.shareElements, p.gradientType);
  if (!p.gradientShared) return;
  const size_t parameter = memory_.indexOf(static_cast<uint32_t>(p.tensor.index()));
  if (step.written[parameter])
    device_.add(memory_.gradient(p), own, p.shareElements, p.gradientType);
  else
    device_.copyRows(memory_.gradient(p), share, own, share, share, 1);
  step.written[parameter] = true;
}

void Executor::update(const Binding& binding) {
  for (const Operand& o : binding.inputs) {
    const ParameterPlace& p = memory_.parameter(o.index);
    ParameterUpdate u;
    u.weights = memory_.ownWeights(p);
    u.weightsType = p.type.dtype;
    u.gradient = memory_.ownGradient(p);
    u.gradientType = p.gradientType;
    for (int s = 0; s < 2; ++s) u.states[s] = memory_.state(p.states[s]);
    u.master = memory_.state(p.master);
    u.count = p.shareElements;
    device_.update(u);
  }
}

void Executor::findOverflow(const Binding& binding) {
  for (const Operand& o : binding.inputs) {
    const ParameterPlace& p = memory_.parameter(o.index);
    device_.findOverflow(memory_.ownGradient(p), p.shareElements, p.gradientType);
  }
}

/// What is shared out over ranks is looked at as the share that this rank keeps. Weights that are
/// gathered are looked at by who reads them.
void Executor::checkNumbers(NumberCheck& numbers, const Site& site, const Prepared& prepared) {
  const Instruction& in = site.instruction();
  const Binding& binding = site.binding();
  if (binding.part == Binding::Part::overflow) return;
  const bool updates =
      site.routine.kind == Routine::Kind::update && in.kind == Instruction::Kind::compute;
  const bool shares = in.kind == Instruction::Kind::collective && movesParameters(binding);
  if (!updates && !shares) return numbers.ran(site, prepared.inputs, prepared.outputs);
  if (shares && in.collective == CollectiveKind::allGather) return;
  for (const Operand& o : updates ? binding.inputs : binding.outputs) {
    const ParameterPlace& p = memory_.parameter(o.index);
    const int64_t count =
        std::clamp<int64_t>(p.type.elements() - memory_.shareStart(p), 0, p.shareElements);
    const TensorView gradient{memory_.ownGradient(p), {p.gradientType, {count}}};
    const TensorView weights{memory_.ownWeights(p), {p.type.dtype, {count}}};
    if (updates)
      numbers.updated(site, p.tensor, gradient, weights);
    else
      numbers.reduced(site, p.tensor, gradient);
  }
}

void Executor::transfer(const Site& site, const Prepared& prepared) {
  const Instruction& in = site.instruction();
  Communicator& group = groups_.transfers(in);
  const int peer = groups_.peer(in.peerStage);
  for (const TensorView& v : prepared.inputs) group.send(v.data, v.type.bytes().value, peer);
  for (const TensorView& v : prepared.outputs) group.receive(v.data, v.type.bytes().value, peer);
}

}  // namespace meshplan
