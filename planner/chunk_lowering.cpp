// SPDX-License-Identifier: Apache-2.0
#include "planner/chunk_lowering.h"

#include <algorithm>

#include "core/error.h"
#include "planner/gradient_buckets.h"
#include "planner/operator_binding.h"
#include "planner/routine_builder.h"
#include "planner/split_loss.h"
#include "planner/stage_transfers.h"
#include "planner/update_lowering.h"
#include "planner/weight_gathering.h"

namespace meshplan {
namespace {

using Where = LocalOperator::Where;

Placement whole(Placement p) {
  return p == kPartial ? kReplicate : p;
}

class ChunkLowering {
 public:
  ChunkLowering(const TrainingModel& model, const Plan& plan, LayerCache& layers, int64_t chunk)
      : model_(model),
        graph_(model.graph),
        plan_(plan),
        layers_(layers),
        chunk_(chunk),
        firstBlock_(static_cast<size_t>(plan.chunkStarts[static_cast<size_t>(chunk)])),
        endBlock_(static_cast<size_t>(plan.chunkStarts[static_cast<size_t>(chunk) + 1])),
        transfers_(model.graph, plan, layers),
        parameters_(model, plan, layers, chunk),
        weights_(model, plan, parameters_) {}

  ChunkRoutines run() {
    ChunkRoutines result;
    result.forward = lowerForward();
    const bool replicated = plan_.mesh.replicas() > 1 && !parameters_.all().empty();
    const bool everyTime = replicated && plan_.zeroStage >= 2;
    result.backward = lowerBackward(everyTime);
    std::vector<Routine*> backwards{&result.backward};
    if (replicated && !everyTime) {
      result.backwardLast = lowerBackward(true);
      result.backwardLast->lastMicroBatch = true;
      backwards.push_back(&*result.backwardLast);
    }
    finishLifetimes(result.forward, backwards, buffers_);
    result.updates = lowerUpdate(model_, plan_, layers_, chunk_, parameters_.all());
    result.parameters = parameters_.all();
    return result;
  }

 private:
  // --- forward ---

  Routine lowerForward() {
    RoutineBuilder b(Routine::Kind::forward, chunk_, layers_, buffers_);
    Versions versions;
    weights_.begin();
    if (chunk_ > 0) receive(b, chunk_ - 1, false, firstBlock_ - 1, versions);
    for (size_t block = firstBlock_; block < endBlock_; ++block) {
      weights_.beginBlock(b, block);
      const Block& range = model_.chain.blocks[block];
      for (uint32_t i = range.begin; i < range.end; ++i)
        lowerOperator(b, versions, OpId(i), false, -1);
      weights_.endBlock(b);
    }
    if (chunk_ + 1 < plan_.chunks()) {
      std::vector<Version> leaving;
      for (TensorId t : model_.chain.crossing[endBlock_ - 1])
        leaving.push_back(versions.at(t).front());
      transfers_.send(b, chunk_, false, model_.chain.crossing[endBlock_ - 1], leaving);
    }
    forwardVersions_ = versions;
    return transfers_.settled(b.routine());
  }

  void lowerOperator(RoutineBuilder& b, Versions& versions, OpId id, bool recomputed,
                     int32_t gate) {
    const LocalLayer& layer = layers_.layer(id);
    const Operator& op = graph_.op(id);
    if (op.def->opClass == OpClass::view) return aliasView(b, versions, id, layer);

    Instruction compute;
    compute.op = id;
    compute.work = layer.forwardWork;
    compute.recomputed = recomputed;
    Binding binding = bindingFor(b, id, layer);
    std::vector<int32_t> waits{gate};
    for (size_t i = 0; i < op.inputs.size(); ++i)
      read(b, versions, op.inputs[i], layer.forward.inputs[i], layer.forward.inputWhere[i], gate,
           compute, waits, binding);
    if (isSplitLoss(layer, plan_.strategies[id.index()])) {
      const SplitLoss made = lowerSplitLoss(b, layers_, layer, op.name, op.outputs[0],
                                            std::move(compute), waits, std::move(binding));
      statistics_[id] = made.statistics;
      versions[op.outputs[0]] = {made.loss};
      return;
    }
    std::vector<Version> made;
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      const TensorType& type = layer.forward.outputs[i];
      made.push_back({layer.forward.outputWhere[i],
                      b.allocate(compute, graph_.tensor(op.outputs[i]).name, op.outputs[i],
                                 type.bytes(), MemoryCategory::activations),
                      b.size(), false});
      if (b.binds()) binding.outputs.push_back(bufferOperand(made.back().buffer, type));
    }
    b.add(std::move(compute), waits, std::move(binding));
    for (size_t i = 0; i < made.size(); ++i) versions[op.outputs[i]] = {made[i]};
  }

  Binding bindingFor(const RoutineBuilder& b, OpId forward, const LocalLayer& layer) const {
    return b.binds() ? bindingOf(layer.scaled, plan_.strategies[forward.index()]) : Binding{};
  }

  void aliasView(RoutineBuilder& b, Versions& versions, OpId id, const LocalLayer& layer) {
    const Operator& op = graph_.op(id);
    if (!isActivation(op.inputs[0])) return;
    Version v = require(b, versions, op.inputs[0], layer.forward.inputWhere[0], -1);
    v.where = layer.forward.outputWhere[0];
    versions[op.outputs[0]] = {v};
  }

  /// Makes `instruction` read a tensor: weights that had to be gathered, or an activation placed as
  /// wanted.
  void read(RoutineBuilder& b, Versions& versions, TensorId t, const TensorType& type, Where where,
            int32_t notBefore, Instruction& instruction, std::vector<int32_t>& waits,
            Binding& binding) {
    Operand operand;
    const TensorId root = viewRoot(graph_, t);
    if (graph_.tensor(root).kind == TensorKind::parameter) {
      if (root != t && b.binds() && parameters_.indexOf(root) < 0)
        throw Error(ErrorKind::runtime, "a view of parameter '" + graph_.tensor(root).name +
                                            "' in another stage cannot be executed");
      if (parameters_.indexOf(root) >= 0) operand = weights_.read(b, root, instruction, waits);
    } else if (graph_.tensor(root).producer.valid()) {
      const Version v = require(b, versions, t, where, notBefore);
      waits.push_back(v.ready);
      instruction.reads.push_back(v.buffer);
      operand.index = v.buffer;
    } else if (b.binds()) {
      operand = inputOperand(root, type, where);
    }
    if (!b.binds()) return;
    operand.type = type;
    binding.inputs.push_back(std::move(operand));
  }

  /// Whether an operator of the model makes the tensor, or what it is a view of.
  bool isActivation(TensorId t) const {
    return graph_.tensor(viewRoot(graph_, t)).producer.valid();
  }

  Version require(RoutineBuilder& b, Versions& versions, TensorId t, Where where,
                  int32_t notBefore) {
    if (versions[t].empty()) remakeView(b, versions, t);
    const std::vector<Version>& list = versions[t];
    for (const Version& v : list)
      if (v.where == where) return v;
    const auto cheap = std::find_if(list.begin(), list.end(), [&](const Version& v) {
      return conversion(v.where.tensor, where.tensor).kind <= CollectiveKind::slice &&
             conversion(v.where.expert, where.expert).kind <= CollectiveKind::slice;
    });
    const Version source = cheap == list.end() ? list.front() : *cheap;
    const Version made =
        b.convert(t, source, where, uniformDemand(t), notBefore, graph_.tensor(t).name);
    versions[t].push_back(made);
    return made;
  }

  /// A view of something that was not kept is a view of the kept form of it.
  void remakeView(RoutineBuilder& b, Versions& versions, TensorId t) {
    const OpId producer = graph_.tensor(t).producer;
    if (graph_.op(producer).def->opClass != OpClass::view)
      throw Error(ErrorKind::internal,
                  "tensor '" + graph_.tensor(t).name + "' is read before it is made");
    aliasView(b, versions, producer, layers_.layer(producer));
  }

  /// Whether all forward readers want the tensor placed alike, so that a collective may overwrite
  /// its operand.
  bool uniformDemand(TensorId t) {
    const Where* first = nullptr;
    for (OpId reader : graph_.tensor(t).consumers) {
      if (reader.index() >= model_.forwardOps) continue;
      const auto& inputs = graph_.op(reader).inputs;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i] != t) continue;
        const Where& where = layers_.layer(reader).forward.inputWhere[i];
        if (first && !(*first == where)) return false;
        first = &where;
      }
    }
    return true;
  }

  // --- pipeline transfers ---

  int32_t receive(RoutineBuilder& b, int64_t boundary, bool backward, size_t cut, Versions& into) {
    std::vector<Crossing> tensors;
    for (TensorId t : model_.chain.crossing[cut])
      if (!backward || model_.hasGradient[t.index()])
        tensors.push_back({t, backward ? gradientWhere(t) : layers_.where(t)});
    return transfers_.receive(b, boundary, backward, tensors, into);
  }

  // --- backward ---

  Routine lowerBackward(bool reduce) {
    RoutineBuilder b(Routine::Kind::backward, chunk_, layers_, buffers_);
    Versions versions = keptVersions();
    Versions gradients;
    buckets_.emplace(plan_, parameters_, reduce);
    weights_.begin();
    const int32_t gate =
        chunk_ + 1 < plan_.chunks() ? receive(b, chunk_, true, endBlock_ - 1, gradients) : -1;
    for (size_t block = endBlock_; block-- > firstBlock_;) {
      weights_.beginBlock(b, block);
      if (plan_.recompute == Recompute::full && model_.recomputable[block])
        recomputeBlock(b, versions, block, gate);
      const Block& range = model_.chain.blocks[block];
      for (uint32_t i = range.end; i-- > range.begin;)
        lowerGradients(b, versions, gradients, OpId(i), gate);
      weights_.endBlock(b);
    }
    if (chunk_ > 0) sendGradients(b, gradients);
    buckets_->flush(b);
    return transfers_.settled(b.routine());
  }

  Versions keptVersions() {
    for (auto& [op, merged] : statistics_) merged.ready = -1;
    Versions kept;
    for (const auto& [t, list] : forwardVersions_)
      for (Version v : list) {
        if (v.gathered) continue;
        v.ready = -1;
        kept[t].push_back(v);
      }
    return kept;
  }

  void recomputeBlock(RoutineBuilder& b, Versions& versions, size_t block, int32_t gate) {
    const Block& range = model_.chain.blocks[block];
    for (uint32_t i = range.begin; i < range.end; ++i)
      for (TensorId t : graph_.op(OpId(i)).outputs) versions.erase(t);
    for (uint32_t i = range.begin; i < range.end; ++i)
      lowerOperator(b, versions, OpId(i), true, gate);
  }

  /// Attention that kept its scores recomputes them under selective recomputation (Korthikanti et
  /// al., section 4.2).
  bool recomputedSelectively(const Operator& op) const {
    return plan_.recompute == Recompute::selective && op.def->opClass == OpClass::attention &&
           op.outputs.size() > 2;
  }

  void lowerGradients(RoutineBuilder& b, Versions& versions, Versions& gradients, OpId id,
                      int32_t gate) {
    const Operator& op = graph_.op(id);
    const LocalLayer& layer = layers_.layer(id);
    std::vector<Version> incoming(op.outputs.size());
    int32_t latest = gate;
    bool any = op.def->opClass == OpClass::loss;
    for (size_t j = 0; j < op.outputs.size(); ++j) {
      if (gradients[op.outputs[j]].empty()) continue;
      incoming[j] = settle(b, gradients, op.outputs[j]);
      latest = std::max(latest, incoming[j].ready);
      any = true;
    }
    if (!any) return;
    if (recomputedSelectively(op)) {
      for (size_t j = 1; j < op.outputs.size(); ++j) versions.erase(op.outputs[j]);
      lowerOperator(b, versions, id, true, latest);
    }
    for (size_t g = 0; g < model_.gradients[id.index()].size(); ++g)
      lowerGradient(b, versions, gradients, id, layer, g, incoming, latest);
    for (TensorId t : op.outputs) gradients.erase(t);
  }

  void lowerGradient(RoutineBuilder& b, Versions& versions, Versions& gradients, OpId forward,
                     const LocalLayer& layer, size_t g, const std::vector<Version>& incoming,
                     int32_t latest) {
    const OpId id = model_.gradients[forward.index()][g];
    const Operator &op = graph_.op(id), &source = graph_.op(forward);
    const LocalOperator& local = layer.gradients[g];
    if (op.def->opClass == OpClass::view) {
      Version v = incoming[0];
      v.where = local.outputWhere[0];
      gradients[source.inputs[0]].push_back(v);
      return;
    }
    Instruction compute;
    compute.op = id;
    compute.work = layer.gradientWork[g];
    Binding binding = bindingFor(b, forward, layer);
    std::vector<int32_t> waits{latest};
    for (size_t k = 0; k < op.inputSlots.size(); ++k) {
      const Slot slot = op.inputSlots[k];
      if (slot.kind == Slot::outputGradient) {
        const Version v =
            b.convert(source.outputs[slot.index], incoming[slot.index], local.inputWhere[k], true,
                      latest, graph_.tensor(op.inputs[k]).name);
        waits.push_back(v.ready);
        compute.reads.push_back(v.buffer);
        if (b.binds()) binding.inputs.push_back(bufferOperand(v.buffer, local.inputs[k]));
      } else {
        read(b, versions, op.inputs[k], local.inputs[k], local.inputWhere[k], latest, compute,
             waits, binding);
      }
    }
    if (const auto merged = statistics_.find(forward); merged != statistics_.end())
      readStatistics(b, merged->second, layer, compute, waits, binding);
    std::vector<std::pair<TensorId, Version>> made;
    std::vector<std::pair<TensorId, std::vector<BufferIndex>>> ofParameters;
    for (size_t o = 0; o < op.outputSlots.size(); ++o) {
      const TensorId of = source.inputs[op.outputSlots[o].index];
      const bool ofParameter = graph_.tensor(of).kind == TensorKind::parameter;
      if (ofParameter && !shardsGradient(parameters_.at(of))) {
        ofParameters.push_back({of, {}});
        if (b.binds())
          binding.outputs.push_back(
              parameterOperand(Operand::Place::gradient, of, local.outputs[o]));
        continue;
      }
      const BufferIndex buffer =
          b.allocate(compute, graph_.tensor(op.outputs[o]).name, op.outputs[o],
                     ofParameter ? parameters_.at(of).gradientBytes() : local.outputs[o].bytes(),
                     ofParameter ? MemoryCategory::gradients : MemoryCategory::activations);
      if (b.binds()) binding.outputs.push_back(bufferOperand(buffer, local.outputs[o]));
      if (ofParameter)
        ofParameters.push_back({of, {buffer}});
      else
        made.push_back({of, {local.outputWhere[o], buffer, b.size(), false}});
    }
    const int32_t done = b.add(std::move(compute), waits, std::move(binding));
    for (const auto& [of, version] : made) gradients[of].push_back(version);
    for (const auto& [of, buffer] : ofParameters) buckets_->add(b, of, done, buffer);
  }

  void readStatistics(const RoutineBuilder& b, const Version& merged, const LocalLayer& layer,
                      Instruction& compute, std::vector<int32_t>& waits, Binding& binding) const {
    waits.push_back(merged.ready);
    compute.reads.push_back(merged.buffer);
    if (!b.binds()) return;
    const TensorType all = gatheredStatistics(layer, layers_.mesh().tensor);
    binding.inputs.push_back(bufferOperand(merged.buffer, all));
  }

  /// Where the gradient of an activation is wanted by its producer's gradient operators: like the
  /// activation, but whole.
  Where gradientWhere(TensorId t) {
    const Where where = layers_.where(t);
    return {whole(where.tensor), whole(where.expert)};
  }

  /// Brings all contributions to one gradient together: equal placements are added before they are
  /// converted.
  Version settle(RoutineBuilder& b, Versions& gradients, TensorId t) {
    std::vector<Version>& parts = gradients[t];
    const Where wanted = gradientWhere(t);
    const std::string& name = graph_.tensor(t).name;
    std::vector<Version> whole;
    while (!parts.empty()) {
      const Where where = parts.front().where;
      const auto rest = std::stable_partition(parts.begin(), parts.end(),
                                              [&](const Version& v) { return v.where == where; });
      const Version sum = add(b, t, {parts.begin(), rest});
      parts.erase(parts.begin(), rest);
      whole.push_back(b.convert(t, sum, wanted, true, -1, name + ".grad"));
    }
    parts = {add(b, t, whole)};
    return parts.front();
  }

  Version add(RoutineBuilder& b, TensorId t, const std::vector<Version>& parts) {
    if (parts.size() == 1) return parts.front();
    const TensorType type = layers_.placed(t, parts.front().where);
    const auto count = static_cast<double>(parts.size());
    const auto elements = static_cast<double>(type.elements());
    OperatorWork work;
    work.def = &operatorDef("Sum");
    work.phase = Phase::backwardInput;
    work.compute = computeDType(plan_.training.precision);
    work.flops = (count - 1) * elements;
    work.bytes = (count + 1) * static_cast<double>(type.bytes().value);
    work.outputElements = elements;
    Instruction sum;
    Binding binding;
    sum.op = model_.gradientSum[t.index()];
    sum.work = layers_.addWork(work);
    std::vector<int32_t> waits;
    for (const Version& v : parts) {
      waits.push_back(v.ready);
      sum.reads.push_back(v.buffer);
      if (b.binds()) binding.inputs.push_back(bufferOperand(v.buffer, type));
    }
    Version result{parts.front().where, 0, 0, false};
    result.buffer = b.allocate(sum, graph_.tensor(t).name + ".grad", t, type.bytes(),
                               MemoryCategory::activations);
    if (b.binds()) binding.outputs.push_back(bufferOperand(result.buffer, type));
    result.ready = b.add(std::move(sum), waits, std::move(binding));
    return result;
  }

  void sendGradients(RoutineBuilder& b, Versions& gradients) {
    std::vector<TensorId> tensors;
    std::vector<Version> versions;
    for (TensorId t : model_.chain.crossing[firstBlock_ - 1]) {
      if (!model_.hasGradient[t.index()]) continue;
      tensors.push_back(t);
      versions.push_back(settle(b, gradients, t));
    }
    transfers_.send(b, chunk_ - 1, true, tensors, versions);
  }

  // --- data parallelism ---

  /// ZeRO-2 and ZeRO-3 keep only a share of each gradient: the whole one lives until its bucket is
  /// scattered.
  bool shardsGradient(const LocalParameter& p) const {
    return plan_.zeroStage >= 2 && plan_.mesh.size(p.replicas) > 1;
  }

  const TrainingModel& model_;
  const Graph& graph_;
  const Plan& plan_;
  LayerCache& layers_;
  int64_t chunk_;
  size_t firstBlock_, endBlock_;
  StageTransfers transfers_;

  std::vector<Buffer> buffers_;
  ChunkParameters parameters_;
  Versions forwardVersions_;
  WeightGathering weights_;
  std::map<OpId, Version> statistics_;  // merged, of cross-entropies over a split vocabulary
  std::optional<GradientBuckets> buckets_;
};

}  // namespace

ChunkRoutines lowerChunk(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                         int64_t chunk) {
  return ChunkLowering(model, plan, layers, chunk).run();
}

}  // namespace meshplan
