// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/host_tensor.h"
#include "core/graph.h"

namespace meshplan {

/// Random initial values of a parameter in its dtype. They depend on the seed, the parameter's name
/// and the position only: scales of norms are 1, shifts and biases 0, embeddings N(0, 0.02^2) as in
/// GPT-2, all else N(0, 1 / fan-in) (LeCun et al., Efficient BackProp, 1998, section 4.6).
HostTensor initialValues(const Graph& graph, TensorId parameter, uint64_t seed);

/// N(0, 1) from a counter (splitmix64, then Box and Muller's transform).
double normalAt(uint64_t seed, uint64_t index);
/// Uniform in [0, 1).
double uniformAt(uint64_t seed, uint64_t index);
/// A seed of its own for a name (FNV-1a).
uint64_t seedOf(uint64_t seed, std::string_view name);

}  // namespace meshplan
