// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/host_tensor.h"
#include "backend/input_staging.h"
#include "core/graph.h"

namespace meshplan {

/// What a step reads besides its data: the constants of a graph (masks, positions, running
/// statistics), which are the same in every step. A constant with a batch dimension holds the rows
/// of the reference batch; a global batch repeats them.
class ConstantInputs {
 public:
  /// `values` by the names of the graph's tensors, in their types. Throws Error(input) naming a
  /// constant of another type.
  ConstantInputs(const Graph& graph, const std::map<std::string, HostTensor>& values,
                 int64_t referenceBatch, int64_t globalBatch);

  /// The data of a step together with the constants.
  StepInputs with(StepInputs data) const;

 private:
  std::vector<HostTensor> tensors_;
  StepInputs views_;
};

}  // namespace meshplan
