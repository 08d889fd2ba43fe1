// SPDX-License-Identifier: Apache-2.0
#include "core/import/load_model.h"

#include <filesystem>

#include "core/error.h"
#include "core/import/hf_config.h"
#include "core/import/model_zoo.h"
#include "core/import/onnx_import.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

bool isZooName(const std::string& source) {
  for (const ZooEntry& entry : modelZoo())
    if (entry.name == source) return true;
  return false;
}

/// The one .onnx file of a folder without a config.json; empty when there is none or several.
std::string onlyOnnxFile(const fs::path& folder) {
  std::string found;
  std::error_code failure;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failure)) {
    if (entry.path().extension() != ".onnx") continue;
    if (!found.empty()) return "";
    found = entry.path().string();
  }
  return found;
}

Model loadFolder(const ModelRequest& request) {
  const fs::path folder(request.source);
  if (fs::exists(folder / "config.json")) return importHfConfig(request);
  ModelRequest inside = request;
  inside.source = onlyOnnxFile(folder);
  if (inside.source.empty())
    throw Error(ErrorKind::input, "the folder has neither a config.json nor one .onnx file",
                "name the file")
        .inFile(request.source);
  return importOnnx(inside);
}

}  // namespace

Model loadModel(const ModelRequest& request) {
  const fs::path path(request.source);
  std::error_code failure;
  if (isZooName(request.source)) return buildZooModel(request);
  if (path.extension() == ".onnx") return importOnnx(request);
  if (path.extension() == ".json") return importHfConfig(request);
  if (fs::is_directory(path, failure)) return loadFolder(request);
  if (fs::exists(path, failure))
    throw Error(ErrorKind::input, "the file is neither .onnx nor .json",
                "give an ONNX file, a config.json, or a name of `meshplan models`")
        .inFile(request.source);
  if (path.has_parent_path())
    throw Error(ErrorKind::input, "there is no such file", "check the path").inFile(request.source);
  return buildZooModel(request);
}

}  // namespace meshplan
