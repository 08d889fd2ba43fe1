// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan::gui {

enum class FileKind { model, plan, cluster, session };

/// What a file that was opened or dropped is, by its content: plans and model configurations by the
/// keys of their JSON, ONNX and sessions by their names; all else may be a cluster. Throws
/// Error(input) when it cannot be read.
FileKind kindOfFile(const std::string& path);

}  // namespace meshplan::gui
