// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan::gui {

enum class FileKind { model, plan, cluster, session, timeline, profiles };

/// What a file that was opened or dropped is, by its content: plans and model configurations by the
/// keys of their JSON, timelines and profile stores by their beginning, ONNX and sessions by name;
/// all else may be a cluster. Throws Error(input) when it cannot be read.
FileKind kindOfFile(const std::string& path);

}  // namespace meshplan::gui
