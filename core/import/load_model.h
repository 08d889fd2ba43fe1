// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/model.h"

namespace meshplan {

/// Reads the model that the request names: by extension for files (`.onnx`, `.json`, or a folder
/// with a `config.json`), else by name in the model zoo. Throws Error(input) for a bad file and
/// Error(usage) with the nearest names for an unknown one.
Model loadModel(const ModelRequest& request);

}  // namespace meshplan
