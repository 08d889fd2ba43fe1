// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/hardware_json.h"
#include "profiles/cluster_template.h"

namespace meshplan {

class JsonFields;

/// Everything in profiles/catalog/*.json: devices, links and reference nodes by name. Names and
/// aliases are compared without regard to case, spaces, '_' and '-'; lookups throw Error(usage)
/// with the nearest names.
class Catalog {
 public:
  /// The compiled-in catalogue. Throws Error(input) naming file and place when an entry is wrong.
  static Catalog builtIn();

  const Hardware& hardware() const { return hardware_; }
  const std::map<std::string, NodeTemplate>& nodes() const { return nodes_; }

  bool isDevice(std::string_view name) const { return key(devices_, name).has_value(); }
  bool isLink(std::string_view name) const { return key(links_, name).has_value(); }
  bool isNode(std::string_view name) const { return key(nodeNames_, name).has_value(); }
  const DeviceSpec& device(std::string_view name) const;
  const LinkSpec& link(std::string_view name) const;
  const NodeTemplate& node(std::string_view name) const;
  /// The reference server of a device, with this device in it.
  NodeTemplate nodeOf(const std::string& device) const;

  /// The compact form's keys of a node (docs/formats.md, "Cluster"), over `base` where they are
  /// given.
  NodeTemplate readNode(JsonFields& fields, NodeTemplate base) const;
  NetworkTemplate readNetwork(JsonFields& fields, NetworkTemplate base) const;

 private:
  using Names = std::map<std::string, std::string>;  // compared spelling -> name

  static std::optional<std::string> key(const Names& names, std::string_view name);
  const NodeTemplate& resolve(JsonFields& all, const std::string& name, int depth);
  DeviceSpec readDevice(JsonFields& fields) const;
  void readInterconnect(JsonFields& fields, NodeTemplate& node) const;
  LinkSpec readLink(JsonFields& fields, const std::string& key) const;
  void readDevices();
  void readLinks();
  void readNodes();

  Hardware hardware_;
  std::map<std::string, NodeTemplate> nodes_;
  std::map<std::string, std::string> serverOf_;  // device -> node
  Names devices_, links_, nodeNames_;
};

}  // namespace meshplan
