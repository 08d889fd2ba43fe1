// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/random.h"
#include "backend/host_tensor.h"
#include "core/graph.h"

namespace meshplan {

/// Random initial values of a parameter in its dtype. They depend on the seed, the parameter's name
/// and the position only (PlacedRandom), and are fp32 numbers, rounded or widened to other dtypes:
/// scales of norms are 1, shifts and biases 0, embeddings N(0, 0.02^2) as in GPT-2, all else N(0, 1
/// / fan-in) (LeCun et al., Efficient BackProp, 1998, section 4.6).
HostTensor initialValues(const Graph& graph, TensorId parameter, uint64_t seed);

/// The numbers N(0, deviation^2) from place 0 on (backend/cpu/normal_numbers.h).
HostTensor normalValues(Shape shape, const PlacedRandom& random, float deviation);

}  // namespace meshplan
