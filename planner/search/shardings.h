// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "planner/cost_model.h"
#include "planner/local_operator.h"
#include "planner/search/elimination.h"

namespace meshplan {

/// What one block of a class costs one rank, per micro-batch: seconds, bytes and parameter
/// elements. Communication here is the blocking one inside the stage; it is part of `forward` and
/// `backward`.
struct BlockCost {
  double forward = 0, backward = 0;
  double forwardCommunication = 0, backwardCommunication = 0;
  double weightGradients = 0;  // part of backward
  /// What the host takes to issue the work, collectives included.
  double hostForward = 0, hostBackward = 0, hostRecomputeFull = 0;
  double recomputeSelective = 0, recomputeFull = 0;     // added to backward
  double saved = 0, savedSelective = 0, savedFull = 0;  // kept from forward to backward
  double parameters = 0,
         expertParameters = 0;  // elements; the latter are not reduced over `expert`
  double crossing = 0;          // sent to the next stage if cut here
};

/// One way to shard the model: strategies per operator of each block class, in the order of
/// ShardingProblem::layers().
struct ShardingPoint {
  std::vector<OperatorStrategy> strategies;
  std::vector<BlockCost> blocks;  // per block class
  ChoiceCost total;
};

/// The sharding question of a model: one variable per operator of each distinct block, so that all
/// blocks of a class are tied, an edge where one operator's result is another's operand (also from
/// a block to the next one of its class), and for each mesh a cost for every choice: compute and
/// the operators' own collectives, conversions forward and backward. Contractions that read the
/// same tensor in the same way (separate q, k, v) share a variable.
class ShardingProblem {
 public:
  explicit ShardingProblem(const TrainingModel& model);

  struct Question {
    StageMesh mesh;
    GroupTopology tensorGroup, expertGroup;
    bool sequenceParallel = true;  // the residual stream may be split by sequence
    bool wholeSequence = true;     // ... and may also be whole on every rank
    size_t maxFront = 16;
  };
  /// The Pareto front of (time, activation bytes, parameters), fastest first; empty when nothing is
  /// possible.
  std::vector<ShardingPoint> solve(const Question& question, const CostModel& cost) const;

  /// The strategies of every forward operator of the model under a point.
  std::vector<OperatorStrategy> expand(const ShardingPoint& point) const;

 private:
  struct Layer {  // one operator of a distinct block
    uint32_t blockClass, position, variable;
    OpId representative;
  };
  struct Edge {
    uint32_t from, to;  // layers
    uint8_t output, input;
    TensorId tensor;     // a representative
    double count = 0;    // how often it occurs in the model
    bool saves = false;  // `to` is the first whose backward reads it, and `from`'s own does not
    bool parameter =
        false;  // both read one tied parameter: inputs `output` of `from` and `input` of `to`
  };
  struct Choice;
  using Choices = std::vector<std::vector<Choice>>;  // [layer][value of its variable]
  struct EdgeCost;
  class Pricer;

  void addLayers();
  void addEdges();
  void addTiedParameters();
  uint32_t layerOf(OpId forward) const;
  bool forbidden(const Layer& layer, const Choice& choice, const Question& question) const;
  bool wholeWeight(const Operator& op, const std::vector<LocalOperator::Where>& where) const;
  std::vector<BlockCost> blockCosts(const Choices& choices, const Pricer& pricer,
                                    const std::vector<uint16_t>& values) const;

  const TrainingModel& model_;
  std::vector<Layer> layers_;
  std::vector<uint32_t> firstLayer_;  // per block class
  std::vector<Edge> edges_;
  uint32_t variables_ = 0;
};

}  // namespace meshplan
