// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "backend/host_tensor.h"
#include "core/model.h"

namespace meshplan {

/// The values of all parameters and constants of a model that was imported from the ONNX file
/// `model.source`, by the names and in the types of the graph's tensors. A weight that the importer
/// transposed, reshaped, cast or joined is computed by evaluating those nodes of the file. Throws
/// Error(input) naming a tensor whose values are not in the file, and Error(usage) for a model that
/// is no ONNX file.
std::map<std::string, HostTensor> readOnnxWeights(const Model& model, int threads);

}  // namespace meshplan
