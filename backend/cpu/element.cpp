// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/element.h"

#include <algorithm>
#include <vector>

namespace meshplan {

bool addsBias(const KernelCall& call) {
  if (std::none_of(call.axes.begin(), call.axes.end(), [](AxisRange a) { return a.split(); }))
    return true;
  std::vector<TensorType> inputs, outputs;
  for (const TensorView& v : call.inputs) inputs.push_back(v.type);
  for (const TensorView& v : call.outputs) outputs.push_back(v.type);
  return call.addsOnce(call.op->def->nest({call.op->attributes, inputs, outputs}));
}

}  // namespace meshplan
