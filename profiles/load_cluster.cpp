// SPDX-License-Identifier: Apache-2.0
#include "profiles/load_cluster.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/cluster_json.h"
#include "core/error.h"
#include "core/json_fields.h"
#include "profiles/catalog.h"
#include "profiles/cluster_import.h"
#include "profiles/cluster_preset.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMostFileBytes = 256u << 20;

std::string readFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw Error(ErrorKind::input, "not a regular file", "give a cluster file").inFile(path);
  if (std::filesystem::file_size(path, error) > kMostFileBytes)
    throw Error(ErrorKind::input, "larger than 256 MiB", "check that this is a cluster file")
        .inFile(path);
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw Error(ErrorKind::input, "cannot be read", "check its permissions").inFile(path);
  return text.str();
}

// {"node": ..., "nodes": ...}: equal servers, by the catalogue.
Cluster compactCluster(const Catalog& catalog, const json& root) {
  JsonFields fields(root, "");
  fields.integer("schema_version", 1, 1);
  const std::string name = fields.text("name", "");
  NodeTemplate node;
  if (fields.at("node").is_string()) {
    node = catalog.node(fields.text("node"));
  } else {
    JsonFields own = fields.object("node");
    if (own.has("base")) node = catalog.node(own.text("base"));
    node = catalog.readNode(own, std::move(node));
    own.finish();
  }
  if (fields.has("network")) {
    JsonFields own = fields.object("network");
    node.network = catalog.readNetwork(own, node.network);
  }
  const int64_t nodes = fields.integer("nodes", 1, 1, (1 << 20) / node.devices);
  fields.finish();
  Cluster cluster = buildCluster(node, nodes);
  cluster.name = name;
  return cluster;
}

Cluster jsonCluster(const Catalog& catalog, const std::string& text, const std::string& file) {
  const json root = parseJson(text, file);
  if (!root.is_object() || !root.contains("node"))
    return clusterFromJson(text, file, catalog.hardware());
  return compactCluster(catalog, root);
}

Cluster fileCluster(const std::string& path, const std::string& device) {
  const std::string text = readFile(path);
  const Catalog catalog = Catalog::builtIn();
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string::npos)
    throw Error(ErrorKind::input, "the file is empty", "give a cluster file").inFile(path);
  try {
    if (text[start] == '{' || text[start] == '[' || path.ends_with(".json"))
      return jsonCluster(catalog, text, path);
    if (isTopology(text)) return clusterFromTopology(catalog, text, device);
    return clusterFromHostfile(catalog, text, device);
  } catch (const Error& e) {
    // A wrong name inside a file is the file's fault; a missing --device is the command line's.
    const bool usage = e.kind() == ErrorKind::usage && e.problem().ends_with("is not known");
    throw Error(usage ? ErrorKind::usage : ErrorKind::input, e.problem(), e.remedy())
        .at(e.place())
        .inFile(path);
  }
}

Cluster presetCluster(const std::string& text) {
  const Catalog catalog = Catalog::builtIn();
  constexpr std::string_view kSlurm = "slurm:";
  if (text.starts_with(kSlurm)) return clusterFromSlurm(catalog, text.substr(kSlurm.size()));
  const ClusterRecipe recipe = parsePreset(catalog, text);
  return buildCluster(recipe.node, recipe.nodes);
}

bool looksLikeFile(const std::string& text) {
  std::error_code error;
  if (text.starts_with("slurm:")) return false;
  return std::filesystem::exists(text, error) || text.find('/') < text.find(':') ||
         text.ends_with(".json") || text.ends_with(".txt");
}

}  // namespace

Cluster loadCluster(const std::string& text, const std::string& device) {
  Cluster cluster = looksLikeFile(text) ? fileCluster(text, device) : presetCluster(text);
  cluster.source = text;
  if (cluster.name.empty()) cluster.name = text;
  return cluster;
}

std::vector<std::string> catalogNodeNames() {
  std::vector<std::string> names;
  const Catalog catalog = Catalog::builtIn();
  for (const auto& [name, unused] : catalog.nodes()) names.push_back(name);
  return names;
}

std::vector<std::string> catalogDeviceNames() {
  std::vector<std::string> names;
  const Catalog catalog = Catalog::builtIn();
  for (const auto& [name, unused] : catalog.hardware().devices) names.push_back(name);
  return names;
}

}  // namespace meshplan
