// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "backend/kernel.h"

namespace meshplan {

/// What an Einsum and its gradients are on any device: contractions of tensors by the axes of the
/// nest that their dimensions walk.

using Letters = std::vector<int8_t>;  // axes of the nest

inline bool contains(const Letters& letters, int8_t letter) {
  return std::find(letters.begin(), letters.end(), letter) != letters.end();
}

template <class Keep>
Letters filtered(const Letters& letters, Keep keep) {
  Letters result;
  std::copy_if(letters.begin(), letters.end(), std::back_inserter(result), keep);
  return result;
}

inline Letters operator+(Letters a, const Letters& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A tensor and what its dimensions walk.
struct WalkedTensor {
  const TensorView* view;
  const TensorWalk* walk;
};

/// Calls contract(operands, to, accumulate, axes) for the result of a forward call.
template <class Contract>
void forEinsum(const KernelCall& call, const Contract& contract) {
  std::vector<TensorType> inputs;
  for (const TensorView& v : call.inputs) inputs.push_back(v.type);
  const TensorType output = call.outputs[0].type;
  const LoopNest nest = call.op->def->nest({call.op->attributes, inputs, {&output, 1}});
  std::vector<WalkedTensor> operands;
  for (size_t i = 0; i < inputs.size(); ++i) operands.push_back({&call.inputs[i], &nest.inputs[i]});
  contract(operands, WalkedTensor{&call.outputs[0], &nest.outputs[0]}, false, nest.axes);
}

/// The same for each input whose gradient is wanted: a contraction of the incoming gradient and the
/// other inputs.
template <class Contract>
void forEinsumGradients(const KernelCall& call, const Contract& contract) {
  std::vector<TensorType> inputs;
  const auto typed = [&](size_t i) {
    const TensorView* v = call.forwardInput(i);
    return v ? v : call.inputGradient(i);
  };
  for (size_t i = 0; typed(i); ++i) inputs.push_back(typed(i)->type);
  const TensorView& dy = *call.outputGradient(0);
  const LoopNest nest = call.op->def->nest({call.op->attributes, inputs, {&dy.type, 1}});
  for (size_t i = 0, at = 0; i < inputs.size(); ++i) {
    const TensorView* dx = call.inputGradient(i, &at);
    if (!dx) continue;
    std::vector<WalkedTensor> operands{{&dy, &nest.outputs[0]}};
    for (size_t j = 0; j < inputs.size(); ++j)
      if (j != i) operands.push_back({call.forwardInput(j), &nest.inputs[j]});
    contract(operands, WalkedTensor{dx, &nest.inputs[i]}, call.accumulates(at), nest.axes);
  }
}

}  // namespace meshplan
