// SPDX-License-Identifier: Apache-2.0
#include "profiles/catalog.h"

#include <fmt/core.h>

#include <cctype>
#include <utility>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/nearest.h"
#include "profiles/embedded_text.h"

namespace meshplan {
namespace {

using nlohmann::json;

std::string compared(std::string_view name) {
  std::string out;
  for (char c : name)
    if (c != '-' && c != '_' && c != ' ')
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <class Map>
std::vector<std::string_view> keys(const Map& map) {
  std::vector<std::string_view> out;
  for (const auto& [k, unused] : map) out.push_back(k);
  return out;
}

template <class Map>
[[noreturn]] void failUnknown(const char* what, std::string_view name, const Map& known) {
  throw Error(ErrorKind::usage, fmt::format("unknown {} '{}'", what, name.substr(0, 80)),
              didYouMean(name, keys(known), "run 'meshplan clusters' for the names"));
}

void readAliases(JsonFields& fields, const std::string& name,
                 std::map<std::string, std::string>& names) {
  names[compared(name)] = name;
  if (!fields.has("aliases")) return;
  for (const json& alias : fields.array("aliases"))
    names[compared(alias.get<std::string>())] = name;
}

std::vector<std::vector<uint32_t>> readMatrix(JsonFields& fields) {
  const json& rows = fields.array("matrix");
  std::vector<std::vector<uint32_t>> matrix;
  for (const json& row : rows) {
    if (!row.is_array() || row.size() != rows.size())
      fields.reject("matrix", "the matrix is not square", "give one row and column per device");
    std::vector<uint32_t>& out = matrix.emplace_back();
    for (const json& v : row) {
      if (!v.is_number_unsigned() || v.get<uint64_t>() > 1024)
        fields.reject("matrix", "a number of links is not in range", "give 0 to 1024");
      out.push_back(v.get<uint32_t>());
    }
  }
  for (size_t i = 0; i < matrix.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (matrix[i][j] != matrix[j][i])
        fields.reject("matrix", fmt::format("devices {} and {} disagree on their links", i, j),
                      "make it symmetric");
  return matrix;
}

}  // namespace

std::optional<std::string> Catalog::key(const Names& names, std::string_view name) {
  const auto it = names.find(compared(name));
  return it == names.end() ? std::nullopt : std::optional(it->second);
}

const DeviceSpec& Catalog::device(std::string_view name) const {
  const auto k = key(devices_, name);
  if (!k) failUnknown("device", name, hardware_.devices);
  return hardware_.devices.at(*k);
}

const LinkSpec& Catalog::link(std::string_view name) const {
  const auto k = key(links_, name);
  if (!k) failUnknown("link", name, hardware_.links);
  return hardware_.links.at(*k);
}

const NodeTemplate& Catalog::node(std::string_view name) const {
  const auto k = key(nodeNames_, name);
  if (!k) failUnknown("node", name, nodes_);
  return nodes_.at(*k);
}

NodeTemplate Catalog::nodeOf(const std::string& name) const {
  const DeviceSpec& spec = device(name);
  NodeTemplate n = node(serverOf_.at(spec.name));
  if (n.device.name != spec.name || n.pricePerHour == 0)
    n.pricePerHour = spec.pricePerHour * static_cast<double>(n.devices);
  n.device = spec;
  return n;
}

LinkSpec Catalog::readLink(JsonFields& fields, const std::string& key) const {
  const json& v = fields.at(key);
  if (v.is_string()) return link(v.get<std::string>());
  JsonFields own = fields.object(key);
  const std::string name = own.text("name", key);
  LinkSpec spec = readLinkSpec(own, name);
  own.finish();
  return spec;
}

NetworkTemplate Catalog::readNetwork(JsonFields& fields, NetworkTemplate n) const {
  if (fields.has("link")) n.link = readLink(fields, "link");
  n.nics = fields.integer("nics", n.nics, 1, 1024);
  n.width = static_cast<uint32_t>(fields.integer("width", n.width, 1, 1024));
  n.nodesPerLeaf = fields.integer("nodes_per_leaf", n.nodesPerLeaf, 0, 1 << 20);
  n.oversubscription = fields.number("oversubscription", n.oversubscription, 1e-3, 1e6);
  fields.finish();
  return n;
}

DeviceSpec Catalog::readDevice(JsonFields& fields) const {
  if (fields.at("device").is_string()) return device(fields.text("device"));
  JsonFields own = fields.object("device");
  const std::string name = own.text("name");
  DeviceSpec spec = readDeviceSpec(own, name);
  own.finish();
  return spec;
}

void Catalog::readInterconnect(JsonFields& fields, NodeTemplate& n) const {
  n.interconnect = {};
  n.interconnectWidth = 0;
  n.matrix.clear();
  if (fields.at("interconnect").is_null()) return;
  JsonFields own = fields.object("interconnect");
  n.interconnect = readLink(own, "link");
  if (own.has("matrix"))
    n.matrix = readMatrix(own);
  else
    n.interconnectWidth = static_cast<uint32_t>(own.integer("width", 1, 1 << 20));
  own.finish();
}

NodeTemplate Catalog::readNode(JsonFields& fields, NodeTemplate n) const {
  if (fields.has("device")) n.device = readDevice(fields);
  n.devices = fields.integer("devices", n.devices, 1, 4096);
  if (fields.has("interconnect")) readInterconnect(fields, n);
  if (fields.has("pcie")) n.pcie = readLink(fields, "pcie");
  n.devicesPerPcieSwitch =
      fields.integer("devices_per_pcie_switch", n.devicesPerPcieSwitch, 0, 4096);
  n.sockets = fields.integer("sockets", n.sockets, 1, 1024);
  if (fields.has("socket_link")) n.socketLink = readLink(fields, "socket_link");
  if (fields.has("network")) {
    JsonFields own = fields.object("network");
    n.network = readNetwork(own, n.network);
  }
  n.multicast = fields.flag("multicast", n.multicast);
  n.pricePerHour = fields.number("price_per_hour", n.pricePerHour, 0, 1e9);
  n.source = fields.text("source", n.source);
  return n;
}

void Catalog::readDevices() {
  const json root = parseJson(catalogText("devices"), "devices.json");
  JsonFields file(root, "");
  JsonFields all = file.object("devices");
  for (const auto& [name, unused] : all.value().items()) {
    JsonFields d = all.object(name);
    hardware_.devices[name] = readDeviceSpec(d, name);
    serverOf_[name] = d.text("node");
    readAliases(d, name, devices_);
    d.finish();
  }
}

void Catalog::readLinks() {
  const json root = parseJson(catalogText("links"), "links.json");
  JsonFields file(root, "");
  JsonFields all = file.object("links");
  for (const auto& [name, unused] : all.value().items()) {
    JsonFields l = all.object(name);
    hardware_.links[name] = readLinkSpec(l, name);
    readAliases(l, name, links_);
    l.finish();
  }
}

const NodeTemplate& Catalog::resolve(JsonFields& all, const std::string& name, int depth) {
  if (const auto it = nodes_.find(name); it != nodes_.end()) return it->second;
  JsonFields n = all.object(name);
  NodeTemplate base;
  if (n.has("base")) {
    if (depth > 8) n.reject("base", "the bases form a cycle", "end them in a whole node");
    base = resolve(all, n.text("base"), depth + 1);
    base.pricePerHour = 0;
  }
  base.name = name;
  NodeTemplate read = readNode(n, std::move(base));
  readAliases(n, name, nodeNames_);
  n.finish();
  return nodes_[name] = std::move(read);
}

void Catalog::readNodes() {
  const json root = parseJson(catalogText("nodes"), "nodes.json");
  JsonFields file(root, "");
  JsonFields all = file.object("nodes");
  for (const auto& [name, unused] : all.value().items()) resolve(all, name, 0);
}

Catalog Catalog::builtIn() {
  Catalog c;
  c.readDevices();
  c.readLinks();
  c.readNodes();
  return c;
}

}  // namespace meshplan
