// SPDX-License-Identifier: Apache-2.0
#include "backend/kernel.h"

namespace meshplan {

const TensorView* KernelCall::input(Slot::Kind kind, size_t index) const {
  for (size_t i = 0; i < op->inputSlots.size(); ++i)
    if (op->inputSlots[i].kind == kind && op->inputSlots[i].index == index) return &inputs[i];
  return nullptr;
}

const TensorView* KernelCall::inputGradient(size_t i, size_t* index) const {
  for (size_t o = 0; o < op->outputSlots.size(); ++o) {
    if (op->outputSlots[o].index != i) continue;
    if (index) *index = o;
    return &outputs[o];
  }
  return nullptr;
}

bool KernelCall::addsOnce(const LoopNest& forwardNest) const {
  for (size_t a = 0; a < axes.size(); ++a)
    if (forwardNest.axes[a].kind == AxisKind::reduce && axes[a].split() && axes[a].begin != 0)
      return false;
  return true;
}

}  // namespace meshplan
