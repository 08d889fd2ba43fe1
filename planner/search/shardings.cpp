// SPDX-License-Identifier: Apache-2.0
#include "planner/search/shardings.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

namespace meshplan {
namespace {

constexpr double kForbidden = std::numeric_limits<double>::infinity();

constexpr double kBulk = 16.0 * kMiB;

bool readsSlot(const TrainingModel& model, OpId forward, Slot slot) {
  const auto& gradients = model.gradients[forward.index()];
  return std::any_of(gradients.begin(), gradients.end(), [&](OpId g) {
    const auto& slots = model.graph.op(g).inputSlots;
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
  });
}

double bytesOf(const TensorType& t) {
  return static_cast<double>(t.bytes().value);
}

/// Attention that keeps its scores is what selective recomputation recomputes (Korthikanti et al.,
/// section 4.2).
bool selectivelyRecomputed(const Operator& op) {
  return op.def->opClass == OpClass::attention && op.outputs.size() > 2;
}

}  // namespace

/// One value of a layer's variable with everything that depends on it alone.
struct ShardingProblem::Choice {
  OperatorStrategy strategy;
  LocalOperator forward;
  std::vector<LocalOperator> gradients;
  double forwardTime = 0, backwardTime = 0, inputGradientTime = 0, weightGradientTime = 0;
  double forwardCommunication = 0, backwardCommunication = 0;
  double saved = 0, savedSelective = 0, recomputeSelective = 0;
  double parameters = 0, expertParameters = 0;
  double parameterBytes = 0;
  double hostForward = 0, hostBackward = 0;
};

struct ShardingProblem::EdgeCost {
  double forward = 0, backward = 0, saved = 0;
};

/// Prices choices and edges under one question.
class ShardingProblem::Pricer {
 public:
  Pricer(const TrainingModel& model, const Question& question, const CostModel& cost)
      : model_(model), question_(question), cost_(cost) {}

  std::vector<Choice> choicesOf(const Layer& layer) const {
    const OpId id = layer.representative;
    const ScaledOperator scaled = scaleForward(model_, id, question_.mesh.samples);
    std::vector<ScaledOperator> scaledGradients;
    for (OpId g : model_.gradients[id.index()])
      scaledGradients.push_back(scaleGradient(model_, scaled, g, question_.mesh.samples));
    std::vector<Choice> choices;
    // Forbidding comes later, for trunk tensors only: a layer's list must not depend on its
    // siblings'.
    for (const OperatorStrategy& s : strategiesOf(model_, id, scaled, question_.mesh, true))
      choices.push_back(priceChoice(id, scaled, scaledGradients, s));
    return choices;
  }

  EdgeCost edge(const Edge& e, const Choice& from, const Choice& to) const {
    if (e.parameter) return parameterEdge(e, from, to);
    EdgeCost result;
    const auto &source = from.forward.outputWhere[e.output],
               &target = to.forward.inputWhere[e.input];
    result.forward = conversionTime(e.tensor, source, target);
    const double regather = e.saves ? savedBytes(e, source, target, result.saved) : 0;
    if (regather > 0) result.backward += std::max(0.0, regather - to.inputGradientTime);
    const LocalOperator::Where* given = find(to, e.to, {Slot::inputGradient, e.input}, true);
    const LocalOperator::Where* wanted =
        find(from, e.from, {Slot::outputGradient, e.output}, false);
    // The reader's weight gradient does not wait for its input gradient's journey.
    if (given && wanted)
      result.backward +=
          std::max(0.0, conversionTime(e.tensor, *given, *wanted) - to.weightGradientTime);
    return result;
  }

  double hostCollective() const { return cost_.hostCollectiveTime().value; }

  void setLayers(const std::vector<Layer>& layers) { layers_ = &layers; }

 private:
  using Where = LocalOperator::Where;

  Choice priceChoice(OpId id, const ScaledOperator& scaled,
                     const std::vector<ScaledOperator>& scaledGradients,
                     const OperatorStrategy& strategy) const {
    const StageMesh& mesh = question_.mesh;
    const Operator& op = model_.graph.op(id);
    Choice c;
    c.strategy = strategy;
    c.forward = localise(model_, id, scaled, strategy, mesh, 0);
    c.forwardTime = cost_.operatorTime(c.forward.work).time.value;
    c.hostForward = cost_.hostTime(c.forward.work).value;
    c.forwardCommunication = statistics(op, scaled.nest, c.forward, strategy);
    for (size_t i = 0; i < scaledGradients.size(); ++i) {
      const OpId g = model_.gradients[id.index()][i];
      const Operator& gradient = model_.graph.op(g);
      c.gradients.push_back(
          localise(model_, g, scaledGradients[i], strategy, mesh, c.forward.work.flops));
      const double time = cost_.operatorTime(c.gradients.back().work).time.value;
      c.backwardTime += time;
      c.hostBackward += cost_.hostTime(c.gradients.back().work).value;
      (gradient.phase == Phase::backwardInput ? c.inputGradientTime : c.weightGradientTime) += time;
      c.backwardCommunication +=
          statistics(gradient, scaledGradients[i].nest, c.gradients.back(), strategy) +
          partialParameters(gradient, c.gradients.back());
    }
    addMemory(id, op, c);
    return c;
  }

  double statistics(const Operator& op, const LoopNest& nest, const LocalOperator& local,
                    const OperatorStrategy& s) const {
    const Bytes bytes = statisticBytes(op, nest, local, s.tensor, question_.mesh.tensor);
    return bytes.value == 0 ? 0
                            : collective(CollectiveKind::allGather,
                                         static_cast<double>(bytes.value), question_.tensorGroup);
  }

  /// A parameter that the tensor axis replicates gets Partial gradients: reduced once a step,
  /// charged here in full so that the search does not take the tensor axis for a data axis (that
  /// one is its own).
  double partialParameters(const Operator& gradient, const LocalOperator& local) const {
    double time = 0;
    for (size_t i = 0; i < gradient.outputs.size(); ++i) {
      const Tensor& of = model_.graph.tensor(model_.graph.tensor(gradient.outputs[i]).forward);
      if (of.kind == TensorKind::parameter && local.outputWhere[i].tensor == kPartial)
        time += collective(CollectiveKind::allReduce, kBulk + bytesOf(local.outputs[i]),
                           question_.tensorGroup) -
                collective(CollectiveKind::allReduce, kBulk, question_.tensorGroup);
    }
    return time;
  }

  void addMemory(OpId id, const Operator& op, Choice& c) const {
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      if (!readsSlot(model_, id, {Slot::output, static_cast<uint8_t>(i)})) continue;
      const double bytes = bytesOf(c.forward.outputs[i]);
      c.saved += bytes;
      if (!(selectivelyRecomputed(op) && i > 0)) c.savedSelective += bytes;
    }
    if (selectivelyRecomputed(op)) c.recomputeSelective = c.forwardTime;
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const Tensor& t = model_.graph.tensor(op.inputs[i]);
      if (t.kind != TensorKind::parameter || t.consumers.front() != id) continue;
      const auto elements = static_cast<double>(c.forward.inputs[i].elements());
      const bool ofExperts = c.forward.inputWhere[i].expert.kind == Placement::shard;
      (ofExperts ? c.expertParameters : c.parameters) += elements;
      c.parameterBytes += bytesOf(c.forward.inputs[i]);
    }
  }

  /// Bytes kept of an operand that the backward pass reads: the shard when the operand is gathered
  /// from shards (and gathered again, whose time is returned), else what the operator read.
  double savedBytes(const Edge& e, const Where& source, const Where& target, double& saved) const {
    const bool regather = source.tensor.kind == Placement::shard && target.tensor == kReplicate;
    const Where kept{regather ? source.tensor : target.tensor, target.expert};
    saved = bytesOf(placed(e.tensor, kept));
    return regather ? conversionTime(e.tensor, {source.tensor, target.expert}, target) : 0;
  }

  /// A tied parameter is kept once, and so is its gradient: all its readers must want it placed
  /// alike, and give it summands or whole gradients alike.
  EdgeCost parameterEdge(const Edge& e, const Choice& from, const Choice& to) const {
    const Where* a = find(from, e.from, {Slot::inputGradient, e.output}, true);
    const Where* b = find(to, e.to, {Slot::inputGradient, e.input}, true);
    const bool alike = from.forward.inputWhere[e.output] == to.forward.inputWhere[e.input] &&
                       (!a || !b || a->tensor == b->tensor);
    return {alike ? 0 : kForbidden, 0, 0};
  }

  TensorType placed(TensorId t, Where where) const {
    return placedType(scaledType(model_, t, question_.mesh.samples), where, question_.mesh);
  }

  /// One mesh axis after the other: expert first, then tensor.
  double conversionTime(TensorId t, const Where& from, const Where& to) const {
    const Conversion overExpert = conversion(from.expert, to.expert);
    const Conversion overTensor = conversion(from.tensor, to.tensor);
    if (!overExpert.allowed || !overTensor.allowed) return kForbidden;
    // Tensor-parallel layers of today's runtimes move activations between a feature and a sequence
    // split by gathering and scattering; an all-to-all there is a scheme of its own
    // (DeepSpeed-Ulysses), not one that a plan may assume.
    if (overTensor.kind == CollectiveKind::allToAll && model_.graph.tensor(t).sequenceDim >= 0)
      return kForbidden;
    double time = 0;
    if (overExpert.kind > CollectiveKind::slice)
      time += collective(overExpert.kind, bytesOf(placed(t, {from.tensor, kReplicate})),
                         question_.expertGroup);
    if (overTensor.kind > CollectiveKind::slice)
      time += collective(overTensor.kind, bytesOf(placed(t, {kReplicate, to.expert})),
                         question_.tensorGroup);
    return time;
  }

  double collective(CollectiveKind kind, double bytes, const GroupTopology& group) const {
    return cost_.collectiveTime(kind, Bytes(static_cast<int64_t>(bytes)), group).time.value;
  }

  /// Where a gradient operator of the layer has (or wants) the tensor of a slot; null when no such
  /// operator exists.
  const Where* find(const Choice& choice, uint32_t layer, Slot slot, bool output) const {
    const auto& gradients = model_.gradients[(*layers_)[layer].representative.index()];
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Operator& op = model_.graph.op(gradients[i]);
      const auto& slots = output ? op.outputSlots : op.inputSlots;
      const auto at = std::find(slots.begin(), slots.end(), slot);
      if (at == slots.end()) continue;
      const auto& where = output ? choice.gradients[i].outputWhere : choice.gradients[i].inputWhere;
      return &where[static_cast<size_t>(at - slots.begin())];
    }
    return nullptr;
  }

  const TrainingModel& model_;
  const Question& question_;
  const CostModel& cost_;
  const std::vector<Layer>* layers_ = nullptr;
};

ShardingProblem::ShardingProblem(const TrainingModel& model) : model_(model) {
  addLayers();
  addEdges();
  addTiedParameters();
}

void ShardingProblem::addLayers() {
  for (uint32_t c = 0; c < model_.chain.classes.size(); ++c) {
    const Block& block = model_.chain.blocks[model_.chain.classes[c].first];
    firstLayer_.push_back(static_cast<uint32_t>(layers_.size()));
    std::map<std::tuple<const OperatorDef*, TensorId, size_t>, uint32_t> siblings;
    for (uint32_t i = 0; i < block.size(); ++i) {
      const OpId id(block.begin + i);
      const Operator& op = model_.graph.op(id);
      uint32_t variable = variables_;
      if (op.def->opClass == OpClass::contraction && !op.inputs.empty()) {
        const size_t axes =
            op.def->nest({op.attributes, model_.graph.inputTypes(id), model_.graph.outputTypes(id)})
                .axes.size();
        variable =
            siblings.emplace(std::tuple(op.def, op.inputs[0], axes), variables_).first->second;
      }
      if (variable == variables_) ++variables_;
      layers_.push_back({c, i, variable, id});
    }
  }
}

uint32_t ShardingProblem::layerOf(OpId forward) const {
  const Block& block = model_.chain.blocks[model_.chain.blockOf(forward)];
  return firstLayer_[block.blockClass] + static_cast<uint32_t>(forward.index()) - block.begin;
}

void ShardingProblem::addEdges() {
  std::map<std::tuple<uint32_t, uint8_t, uint32_t, uint8_t>, size_t> known;
  for (size_t op = 0; op < model_.forwardOps; ++op) {
    const uint32_t to = layerOf(OpId(op));
    const auto& inputs = model_.graph.op(OpId(op)).inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& t = model_.graph.tensor(inputs[i]);
      if (!t.producer.valid()) continue;
      const uint32_t from = layerOf(t.producer);
      const auto& outputs = model_.graph.op(t.producer).outputs;
      const auto output = static_cast<uint8_t>(
          std::find(outputs.begin(), outputs.end(), inputs[i]) - outputs.begin());
      const auto input = static_cast<uint8_t>(i);
      const auto [at, isNew] = known.emplace(std::tuple(from, output, to, input), edges_.size());
      if (isNew) edges_.push_back({from, to, output, input, inputs[i], 0, false, false});
      ++edges_[at->second].count;
    }
  }
  std::map<std::pair<uint32_t, uint8_t>, bool> kept;
  for (Edge& e : edges_) {
    const OpId producer = layers_[e.from].representative, consumer = layers_[e.to].representative;
    auto [at, isNew] = kept.emplace(std::pair(e.from, e.output),
                                    readsSlot(model_, producer, {Slot::output, e.output}));
    if (at->second || !readsSlot(model_, consumer, {Slot::input, e.input})) continue;
    e.saves = at->second = true;
  }
}

void ShardingProblem::addTiedParameters() {
  for (const Tensor& t : model_.graph.tensors()) {
    if (t.kind != TensorKind::parameter) continue;
    const auto slotOf = [&](OpId op) {
      const auto& inputs = model_.graph.op(op).inputs;
      size_t i = 0;
      while (&model_.graph.tensor(inputs[i]) != &t) ++i;
      return static_cast<uint8_t>(i);
    };
    const OpId first = t.consumers.front();
    for (OpId other : t.consumers) {
      if (other.index() >= model_.forwardOps || other == first) continue;
      const uint32_t from = layerOf(first), to = layerOf(other);
      const TensorId id = model_.graph.op(first).inputs[slotOf(first)];
      if (from != to)
        edges_.push_back({from, to, slotOf(first), slotOf(other), id, 1, false, true});
    }
  }
}

bool ShardingProblem::forbidden(const Layer& layer, const Choice& choice,
                                const Question& question) const {
  const Operator& op = model_.graph.op(layer.representative);
  const auto placed = [&](Placement::Kind kind, bool trunk, const std::vector<TensorId>& tensors,
                          const std::vector<LocalOperator::Where>& where) {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (model_.graph.tensor(tensors[i]).sequenceDim >= 0 && where[i].tensor.kind == kind &&
          (!trunk || model_.chain.trunk[tensors[i].index()]))
        return true;
    return false;
  };
  if (!question.sequenceParallel)
    return placed(Placement::shard, true, op.outputs, choice.forward.outputWhere) ||
           placed(Placement::shard, true, op.inputs, choice.forward.inputWhere);
  if (question.wholeSequence || question.mesh.tensor == 1) return false;
  // Megatron-LM's sequence parallelism: what works token by token has its part of the sequence or
  // of the features, products and the vocabulary split their weights and gather the sequence.
  const OpClass c = op.def->opClass;
  if (c == OpClass::normalization || c == OpClass::elementwise)
    return placed(Placement::replicate, false, op.inputs, choice.forward.inputWhere);
  return wholeWeight(op, choice.forward.inputWhere);
}

/// A matrix that every rank of the tensor axis keeps whole; a router's is small.
bool ShardingProblem::wholeWeight(const Operator& op,
                                  const std::vector<LocalOperator::Where>& where) const {
  if (op.def->opClass != OpClass::contraction && op.def->name != "Embedding") return false;
  for (OpId reader : model_.graph.tensor(op.outputs[0]).consumers)
    if (model_.graph.op(reader).def->opClass == OpClass::moe) return false;
  for (size_t i = 0; i < op.inputs.size(); ++i)
    if (const Tensor& t = model_.graph.tensor(op.inputs[i]);
        t.kind == TensorKind::parameter && t.type.shape.size() > 1 &&
        where[i].tensor.kind == Placement::replicate)
      return true;
  return false;
}

std::vector<ShardingPoint> ShardingProblem::solve(const Question& question,
                                                  const CostModel& cost) const {
  Pricer pricer(model_, question, cost);
  pricer.setLayers(layers_);
  PairwiseProblem problem;
  problem.unary.resize(variables_);
  Choices choices;
  for (const Layer& layer : layers_) {
    choices.push_back(pricer.choicesOf(layer));
    const double count = model_.chain.classes[layer.blockClass].count;
    auto& unary = problem.unary[layer.variable];
    unary.resize(std::max(unary.size(), choices.back().size()));
    for (size_t v = 0; v < unary.size(); ++v) {
      if (v >= choices.back().size() || forbidden(layer, choices.back()[v], question)) {
        unary[v].time = kForbidden;
        continue;
      }
      const Choice& c = choices.back()[v];
      unary[v] += {count * (c.forwardTime + c.backwardTime + c.forwardCommunication +
                            c.backwardCommunication),
                   count * c.saved, count * c.parameterBytes};
    }
  }
  for (const Edge& e : edges_) {
    const uint32_t a = layers_[e.from].variable, b = layers_[e.to].variable;
    const auto priced = [&](size_t i, size_t j) -> ChoiceCost {
      if (i >= choices[e.from].size() || j >= choices[e.to].size()) return {kForbidden, 0, 0};
      const EdgeCost c = pricer.edge(e, choices[e.from][i], choices[e.to][j]);
      return {e.count * (c.forward + c.backward), e.count * c.saved, 0};
    };
    if (a == b) {
      for (size_t i = 0; i < problem.unary[a].size(); ++i) problem.unary[a][i] += priced(i, i);
      continue;
    }
    PairwiseProblem::Edge edge{a, b, {}};
    for (size_t i = 0; i < problem.unary[a].size(); ++i)
      for (size_t j = 0; j < problem.unary[b].size(); ++j) edge.costs.push_back(priced(i, j));
    problem.edges.push_back(std::move(edge));
  }

  std::vector<ShardingPoint> points;
  for (const ParetoPoint& p : eliminate(problem, question.maxFront)) {
    ShardingPoint point;
    point.total = p.cost;
    for (size_t i = 0; i < layers_.size(); ++i)
      point.strategies.push_back(choices[i][p.values[layers_[i].variable]].strategy);
    point.blocks = blockCosts(choices, pricer, p.values);
    points.push_back(std::move(point));
  }
  return points;
}

std::vector<BlockCost> ShardingProblem::blockCosts(const Choices& choices, const Pricer& pricer,
                                                   const std::vector<uint16_t>& values) const {
  const auto chosen = [&](uint32_t layer) -> const Choice& {
    return choices[layer][values[layers_[layer].variable]];
  };
  std::vector<BlockCost> blocks(model_.chain.classes.size());
  for (uint32_t i = 0; i < layers_.size(); ++i) {
    const Choice& c = chosen(i);
    BlockCost& b = blocks[layers_[i].blockClass];
    b.forward += c.forwardTime + c.forwardCommunication;
    b.backward += c.backwardTime + c.backwardCommunication;
    b.forwardCommunication += c.forwardCommunication;
    b.backwardCommunication += c.backwardCommunication;
    b.weightGradients += c.weightGradientTime;
    b.hostForward += c.hostForward;
    b.hostBackward += c.hostBackward;
    b.recomputeSelective += c.recomputeSelective;
    b.saved += c.saved;
    b.savedSelective += c.savedSelective;
    b.parameters += c.parameters;
    b.expertParameters += c.expertParameters;
  }
  for (const Edge& e : edges_) {
    // Edges between blocks of several classes are shared out over the consumer's blocks.
    const uint32_t blockClass = layers_[e.to].blockClass;
    const double share = e.count / model_.chain.classes[blockClass].count;
    const EdgeCost c = pricer.edge(e, chosen(e.from), chosen(e.to));
    BlockCost& b = blocks[blockClass];
    b.forward += share * c.forward;
    b.backward += share * c.backward;
    const double host = pricer.hostCollective();
    if (c.forward > 0) b.hostForward += share * host;
    if (c.backward > 0) b.hostBackward += share * host;
    b.forwardCommunication += share * c.forward;
    b.backwardCommunication += share * c.backward;
    b.saved += share * c.saved;
    b.savedSelective += share * c.saved;
  }
  for (uint32_t c = 0; c < blocks.size(); ++c) {
    const uint32_t first = model_.chain.classes[c].first;
    const auto localBytes = [&](TensorId t) {
      const Tensor& tensor = model_.graph.tensor(t);
      const uint32_t layer = layerOf(tensor.producer);
      const auto& outputs = model_.graph.op(tensor.producer).outputs;
      const auto i =
          static_cast<size_t>(std::find(outputs.begin(), outputs.end(), t) - outputs.begin());
      return bytesOf(chosen(layer).forward.outputs[i]);
    };
    for (TensorId t : model_.chain.crossing[first]) blocks[c].crossing += localBytes(t);
    if (!model_.recomputable[first]) {
      blocks[c].savedFull = blocks[c].saved;
      continue;
    }
    blocks[c].recomputeFull = blocks[c].forward;
    blocks[c].hostRecomputeFull = blocks[c].hostForward;
    if (first > 0)
      for (TensorId t : model_.chain.crossing[first - 1]) blocks[c].savedFull += localBytes(t);
  }
  return blocks;
}

std::vector<OperatorStrategy> ShardingProblem::expand(const ShardingPoint& point) const {
  std::vector<OperatorStrategy> strategies;
  strategies.reserve(model_.forwardOps);
  for (size_t op = 0; op < model_.forwardOps; ++op)
    strategies.push_back(point.strategies[layerOf(OpId(op))]);
  return strategies;
}

}  // namespace meshplan
