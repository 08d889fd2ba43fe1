// SPDX-License-Identifier: Apache-2.0
#include "gui/file_kind.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/planning.h"
#include "core/error.h"
#include "gui/models/trace_scene.h"
#include "profiles/chrome_events.h"

namespace meshplan::gui {
namespace {

bool isModelConfig(const std::string& path) {
  std::ifstream in(path);
  const nlohmann::json json = nlohmann::json::parse(in, nullptr, false);
  return json.is_object() && (json.contains("model_type") || json.contains("architectures"));
}

bool isSqlite(const std::string& path) {
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  char head[16] = {};
  std::ifstream in(path, std::ios::binary);
  return in.read(head, sizeof head) && std::string_view(head, sizeof head) == kMagic;
}

}  // namespace

FileKind kindOfFile(const std::string& path) {
  const std::filesystem::path file(path);
  if (std::filesystem::is_directory(file) || file.extension() == ".onnx") return FileKind::model;
  if (!std::ifstream(path))
    throw Error(ErrorKind::input, "cannot be read", "check the name and the permissions")
        .inFile(path);
  if (file.extension() == ".meshplan") return FileKind::session;
  if (isSqlite(path)) return FileKind::profiles;
  if (isPerfettoTrace(path) || isChromeTrace(path)) return FileKind::timeline;
  if (isPlanFile(path)) return FileKind::plan;
  return isModelConfig(path) ? FileKind::model : FileKind::cluster;
}

}  // namespace meshplan::gui
