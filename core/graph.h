// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/operator.h"

namespace meshplan {

/// Which part of a training step an operator belongs to. A fused gradient operator is
/// `backwardInput`.
enum class Phase : uint8_t { forward, backwardInput, backwardWeight, update };

/// Names a tensor of the forward operator that a gradient operator's input or output stands for.
struct Slot {
  enum Kind : uint8_t { input, output, inputGradient, outputGradient };
  Kind kind;
  uint8_t index;
  bool operator==(const Slot&) const = default;
};

/// One node of the graph. A gradient operator keeps the def and the id of its forward operator and
/// says with slots which forward tensor each of its tensors is; its attributes are the forward
/// operator's.
struct Operator {
  const OperatorDef* def = nullptr;
  Phase phase = Phase::forward;
  int64_t repeat = 1;  // trip count of an enclosing Loop or Scan
  std::string name, module;
  Attributes attributes;
  std::vector<TensorId> inputs, outputs;
  OpId forward;
  std::vector<Slot> inputSlots, outputSlots;
};

enum class TensorKind : uint8_t { input, parameter, constant, activation, gradient, state };

struct Tensor {
  std::string name;
  TensorType type;
  TensorKind kind = TensorKind::activation;
  OpId producer;                // invalid for inputs, parameters, constants and states
  std::vector<OpId> consumers;  // one entry per use, in operator order
  int8_t batchDim = -1;         // the dimension that grows with the batch, -1: none
  int8_t sequenceDim = -1;      // the dimension that grows with the sequence, -1: none
  TensorId forward;             // of a gradient or an optimizer state: the tensor it belongs to
};

/// A directed acyclic graph of operators over tensors, in the order in which operators were added
/// (always a topological one: an operator's inputs must exist). Built at a reference batch;
/// `batchDim` tells which dimension of a tensor scales when the batch does. Copy = snapshot.
class Graph {
 public:
  TensorId addTensor(Tensor tensor);
  TensorId addInput(std::string name, TensorType type, int8_t batchDim = 0,
                    int8_t sequenceDim = -1);
  TensorId addParameter(std::string name, TensorType type);
  TensorId addConstant(std::string name, TensorType type);

  /// Adds a forward operator; output types come from the def's shape inference and outputs are
  /// named `name:i`. Errors carry the operator's name as their place.
  OpId addOperator(std::string_view def, std::vector<TensorId> inputs, Attributes attributes = {},
                   std::string name = {}, std::string module = {});
  /// Adds an operator whose outputs exist already (gradients, updates, opaque operators).
  OpId addOperator(Operator op);

  size_t operatorCount() const { return operators_.size(); }
  size_t tensorCount() const { return tensors_.size(); }
  const Operator& op(OpId id) const { return operators_[id.index()]; }
  Operator& op(OpId id) { return operators_[id.index()]; }
  const Tensor& tensor(TensorId id) const { return tensors_[id.index()]; }
  Tensor& tensor(TensorId id) { return tensors_[id.index()]; }
  const std::vector<Operator>& operators() const { return operators_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  TensorId output(OpId id, size_t i = 0) const { return op(id).outputs.at(i); }

  /// What a user sees as results, the loss last.
  std::vector<TensorId>& outputs() { return outputs_; }
  const std::vector<TensorId>& outputs() const { return outputs_; }

  std::vector<TensorType> inputTypes(OpId id) const;
  std::vector<TensorType> outputTypes(OpId id) const;

  /// Elements of all parameters (a tied parameter counts once).
  int64_t parameterCount() const;

  /// Throws Error(input) naming the operators on a cycle, or an operator that reads a tensor nobody
  /// makes.
  void validate() const;

 private:
  std::vector<Operator> operators_;
  std::vector<Tensor> tensors_;
  std::vector<TensorId> outputs_;
};

/// Fills batchDim and sequenceDim of every forward activation from those of the graph inputs, along
/// the loop nests: an output dimension carries the batch when it walks, as its outermost axis, an
/// axis that an input's batch dimension walks as its outermost.
void propagateBatch(Graph& graph);

}  // namespace meshplan
