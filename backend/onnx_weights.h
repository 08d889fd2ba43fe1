// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/host_tensor.h"
#include "core/model.h"

namespace meshplan {

using WeightOrigins = std::map<std::string, WeightOrigin>;  // Model::origins

/// The values of the parameters and constants of a graph that was imported from an ONNX file, by
/// the names of the graph's tensors and in their types.
struct OnnxWeights {
  std::map<std::string, HostTensor> values;
  /// Parameters whose values the file does not have, in the graph's order: it was saved without
  /// them, or they are made inside of a loop or function.
  std::vector<std::string> missing;
};

/// Reads them from the file at `path`. A weight that the importer transposed, reshaped, cast or
/// joined is computed by evaluating those nodes of the file; `graph` may have other dtypes than the
/// file. Without `parameters` only constants are read. Throws Error(input) naming a constant whose
/// values are not in the file, or a tensor of another size.
OnnxWeights readOnnxWeights(const std::string& path, const Graph& graph,
                            const WeightOrigins& origins, bool parameters, int threads);

}  // namespace meshplan
