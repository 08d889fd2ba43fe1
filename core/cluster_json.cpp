// SPDX-License-Identifier: Apache-2.0
#include "core/cluster_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

using nlohmann::json;
using Vertex = Cluster::Vertex;

constexpr int64_t kMostVertices = 8 << 20;
constexpr int64_t kMostWidth = 1 << 20;

// ---- writing

struct NodeText {
  json type;     // vertices, links, uplinks
  json targets;  // the switch outside that each uplink leads to
};

class Writer {
 public:
  explicit Writer(const Cluster& c) : c_(c), position_(c.vertexCount()), members_(c.nodeCount()) {
    for (Vertex v = 0; v < c.vertexCount(); ++v) {
      std::vector<Vertex>& list = c.nodeOf(v).valid() ? members_[c.nodeOf(v).index()] : outside_;
      position_[v] = list.size();
      list.push_back(v);
    }
  }

  json write() {
    json out = {{"schema_version", 1},           {"name", c_.name},
                {"source", c_.source},           {"price_per_hour", c_.pricePerHour},
                {"multicast", c_.multicast},     {"devices", json::array()},
                {"links", json::array()},        {"switches", json::array()},
                {"switch_links", json::array()}, {"node_links", json::array()}};
    if (c_.coresPerNode > 0) out["cores_per_node"] = c_.coresPerNode;
    for (const DeviceSpec& s : c_.specs()) out["devices"].push_back(deviceSpecJson(s));
    for (const LinkSpec& s : c_.linkSpecs()) out["links"].push_back(linkSpecJson(s));
    for (Vertex v : outside_) out["switches"].push_back(c_.vertexName(v));
    for (LinkId l : c_.outsideLinks()) out["switch_links"].push_back(ends(l));
    writeNodes(out);
    writeNodeLinks(out);
    return out;
  }

 private:
  json withSpec(json ends, const Link& l) const {
    ends.push_back(l.spec);
    ends.push_back(l.width);
    return ends;
  }
  json ends(LinkId id) const {
    const Link& l = c_.links()[id.index()];
    return withSpec({position_[l.a], position_[l.b]}, l);
  }

  NodeText node(NodeId n) const {
    NodeText text{
        {{"vertices", json::array()}, {"links", json::array()}, {"uplinks", json::array()}},
        json::array()};
    for (Vertex v : members_[n.index()]) {
      const DeviceId d = c_.deviceAt(v);
      text.type["vertices"].push_back(d.valid() ? json(c_.devices()[d.index()].spec)
                                                : json(c_.vertexName(v)));
    }
    for (LinkId id : c_.linksOf(n)) {
      const Link& l = c_.links()[id.index()];
      const NodeId na = c_.nodeOf(l.a), nb = c_.nodeOf(l.b);
      if (na == nb) text.type["links"].push_back(ends(id));
      if (na.valid() && nb.valid()) continue;
      const bool up = na.valid();
      text.type["uplinks"].push_back(withSpec({position_[up ? l.a : l.b]}, l));
      text.targets.push_back(position_[up ? l.b : l.a]);
    }
    return text;
  }

  void writeNodes(json& out) const {
    std::map<std::string, size_t> types;
    json typeList = json::array(), nodes = json::array();
    for (size_t i = 0; i < c_.nodeCount(); ++i) {
      const NodeText text = node(NodeId(i));
      const auto [type, added] = types.try_emplace(text.type.dump(), types.size());
      if (added) typeList.push_back(text.type);
      const bool same = !nodes.empty() && nodes.back()["type"] == type->second &&
                        nodes.back()["uplinks_to"] == text.targets;
      if (!same)
        nodes.push_back(
            {{"type", type->second}, {"uplinks_to", text.targets}, {"names", json::array()}});
      nodes.back()["names"].push_back(c_.nodeName(NodeId(i)));
    }
    for (json& n : nodes) shortenNames(n);
    out["node_types"] = std::move(typeList);
    out["nodes"] = std::move(nodes);
  }

  static void shortenNames(json& node) {
    const json& names = node["names"];
    const auto first = names[0].get<std::string>();
    const size_t digits = first.find_last_not_of("0123456789") + 1;
    const std::string prefix = first.substr(0, digits), number = first.substr(digits);
    if (number.empty() || number.size() > 9) return;
    const int64_t start = std::stoll(number);
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] != prefix + std::to_string(start + int64_t(i))) return;
    const size_t count = names.size();
    node.erase("names");
    node["name"] = prefix;
    node["first"] = start;
    node["count"] = count;
  }

  void writeNodeLinks(json& out) const {
    for (const Link& l : c_.links()) {
      const NodeId na = c_.nodeOf(l.a), nb = c_.nodeOf(l.b);
      if (na.valid() && nb.valid() && na != nb)
        out["node_links"].push_back(
            withSpec({na.index(), position_[l.a], nb.index(), position_[l.b]}, l));
    }
  }

  const Cluster& c_;
  std::vector<size_t> position_;  // of a vertex in its node, or among the switches outside
  std::vector<std::vector<Vertex>> members_;
  std::vector<Vertex> outside_;
};

// ---- reading

using Names = std::map<std::string, uint32_t>;

[[noreturn]] void fail(const std::string& place, const std::string& problem,
                       const std::string& remedy) {
  throw Error(ErrorKind::input, problem, remedy).at(place);
}

template <class... Maps>
[[noreturn]] void failUnknown(const std::string& place, const std::string& name,
                              const Maps&... maps) {
  std::vector<std::string_view> known;
  (std::for_each(maps.begin(), maps.end(), [&](const auto& e) { known.push_back(e.first); }), ...);
  fail(place, fmt::format("'{}' is not known here", name.substr(0, 80)),
       didYouMean(name, known, "use a name or an index that this file defines"));
}

uint32_t index(const json& v, size_t count, const std::string& place) {
  if (!v.is_number_unsigned() || v.get<uint64_t>() >= count)
    fail(place, fmt::format("expected a name or an index below {}", count),
         "use a name or an index that this file defines");
  return static_cast<uint32_t>(v.get<uint64_t>());
}

uint32_t reference(const json& v, const Names& names, size_t count, const std::string& place) {
  if (!v.is_string()) return index(v, count, place);
  const auto it = names.find(v.get<std::string>());
  if (it == names.end()) failUnknown(place, v.get<std::string>(), names);
  return it->second;
}

uint32_t readWidth(const json& entry, size_t at, const std::string& place) {
  if (entry.size() <= at) return 1;
  const json& v = entry[at];
  if (!v.is_number_unsigned() || v.get<uint64_t>() < 1 || v.get<uint64_t>() > kMostWidth)
    fail(place, "the width is not a whole number in range",
         fmt::format("give 1 to {}", kMostWidth));
  return static_cast<uint32_t>(v.get<uint64_t>());
}

void checkEntry(const json& entry, size_t least, const std::string& place, const char* form) {
  if (!entry.is_array() || entry.size() < least || entry.size() > least + 1)
    fail(place, "a link has the wrong form", fmt::format("write {}", form));
}

struct NodeType {
  struct Vertex {
    std::string name;  // of a switch
    uint32_t spec = 0;
    bool device = false;
  };
  struct Edge {
    uint32_t a, b, spec, width;
  };
  std::vector<Vertex> vertices;
  std::vector<Edge> links, uplinks;  // an uplink has no b
  Names names;
};

class Reader {
 public:
  Reader(const json& root, const Hardware& hardware) : root_(root, ""), hardware_(hardware) {}

  Cluster read() {
    root_.integer("schema_version", 1, 1);
    c_.name = root_.text("name", "");
    c_.source = root_.text("source", "");
    c_.pricePerHour = root_.number("price_per_hour", 0, 0, 1e12);
    c_.coresPerNode = root_.integer("cores_per_node", 0, 0, 1 << 20);
    c_.multicast = root_.flag("multicast", false);
    readSpecs();
    readSwitches();
    each("node_types", [&](const json& t, const std::string& place) { readType(t, place); });
    each("nodes", [&](const json& n, const std::string& place) { readNodes(n, place); });
    each("switch_links",
         [&](const json& l, const std::string& place) { readSwitchLink(l, place); });
    each("node_links", [&](const json& l, const std::string& place) { readNodeLink(l, place); });
    root_.finish();
    c_.validate();
    return std::move(c_);
  }

 private:
  template <class Read>
  void each(const std::string& key, Read read) {
    each(root_, key, read);
  }

  template <class Read>
  static void each(JsonFields& fields, const std::string& key, Read read) {
    if (!fields.has(key)) return;
    const std::string prefix = fields.place().empty() ? key : fields.place() + "." + key;
    size_t i = 0;
    for (const json& entry : fields.array(key)) read(entry, fmt::format("{}[{}]", prefix, i++));
  }

  void readSpecs() {
    each("devices", [&](const json& d, const std::string& place) {
      JsonFields fields(d, place);
      const std::string name = fields.text("name");
      deviceNames_.try_emplace(name, c_.addSpec(readDeviceSpec(fields, name)));
      fields.finish();
    });
    each("links", [&](const json& l, const std::string& place) {
      JsonFields fields(l, place);
      const std::string name = fields.text("name");
      linkNames_.try_emplace(name, c_.addLinkSpec(readLinkSpec(fields, name)));
      fields.finish();
    });
  }

  void readSwitches() {
    each("switches", [&](const json& s, const std::string& place) {
      if (!s.is_string()) fail(place, "a switch has no name", "write its name in quotes");
      switchNames_.try_emplace(s.get<std::string>(), static_cast<uint32_t>(switches_.size()));
      switches_.push_back(c_.addSwitch(s.get<std::string>(), NodeId()));
    });
  }

  uint32_t deviceSpec(const json& v, const std::string& place) {
    if (!v.is_string()) return index(v, c_.specs().size(), place);
    const auto name = v.get<std::string>();
    if (const auto it = deviceNames_.find(name); it != deviceNames_.end()) return it->second;
    const auto it = hardware_.devices.find(name);
    if (it == hardware_.devices.end()) failUnknown(place, name, deviceNames_, hardware_.devices);
    return deviceNames_[name] = c_.addSpec(it->second);
  }

  uint32_t linkSpec(const json& v, const std::string& place) {
    if (!v.is_string()) return index(v, c_.linkSpecs().size(), place);
    const auto name = v.get<std::string>();
    if (const auto it = linkNames_.find(name); it != linkNames_.end()) return it->second;
    const auto it = hardware_.links.find(name);
    if (it == hardware_.links.end()) failUnknown(place, name, linkNames_, hardware_.links);
    return linkNames_[name] = c_.addLinkSpec(it->second);
  }

  // A device is its spec's index, or {"device": name, "count": n}; a switch is its name.
  void readVertex(NodeType& type, const json& v, const std::string& place) {
    if (v.is_string()) {
      type.names.try_emplace(v.get<std::string>(), static_cast<uint32_t>(type.vertices.size()));
      type.vertices.push_back({v.get<std::string>(), 0, false});
      return;
    }
    int64_t count = 1;
    uint32_t spec = 0;
    if (v.is_object()) {
      JsonFields fields(v, place);
      spec = deviceSpec(fields.at("device"), place + ".device");
      count = fields.integer("count", 1, 1, 4096);
      fields.finish();
    } else {
      spec = deviceSpec(v, place);
    }
    for (int64_t i = 0; i < count; ++i) {
      const auto devices = std::count_if(type.vertices.begin(), type.vertices.end(),
                                         [](const NodeType::Vertex& x) { return x.device; });
      type.names.try_emplace(fmt::format("device{}", devices),
                             static_cast<uint32_t>(type.vertices.size()));
      type.vertices.push_back({{}, spec, true});
    }
  }

  void readType(const json& t, const std::string& place) {
    JsonFields fields(t, place);
    NodeType type;
    each(fields, "vertices",
         [&](const json& v, const std::string& where) { readVertex(type, v, where); });
    const size_t count = type.vertices.size();
    each(fields, "links", [&](const json& l, const std::string& where) {
      checkEntry(l, 3, where, "[vertex, vertex, link, width]");
      type.links.push_back({reference(l[0], type.names, count, where),
                            reference(l[1], type.names, count, where), linkSpec(l[2], where),
                            readWidth(l, 3, where)});
    });
    each(fields, "uplinks", [&](const json& l, const std::string& where) {
      checkEntry(l, 2, where, "[vertex, link, width]");
      type.uplinks.push_back({reference(l[0], type.names, count, where), 0, linkSpec(l[1], where),
                              readWidth(l, 2, where)});
    });
    fields.finish();
    types_.push_back(std::move(type));
  }

  std::vector<std::string> nodeNames(JsonFields& fields) {
    std::vector<std::string> names;
    if (fields.has("names")) {
      for (const json& n : fields.array("names")) {
        if (!n.is_string()) fields.reject("names", "a name is not text", "quote it");
        names.push_back(n.get<std::string>());
      }
      return names;
    }
    const std::string prefix = fields.text("name", "node");
    const int64_t first = fields.integer("first", static_cast<int64_t>(c_.nodeCount()), 0, 1 << 30);
    const int64_t count = fields.integer("count", 1, 1, 1 << 20);
    for (int64_t i = 0; i < count; ++i) names.push_back(prefix + std::to_string(first + i));
    return names;
  }

  void readNodes(const json& n, const std::string& place) {
    JsonFields fields(n, place);
    const NodeType& type = types_[index(fields.at("type"), types_.size(), place + ".type")];
    std::vector<Vertex> targets;
    each(fields, "uplinks_to", [&](const json& s, const std::string& where) {
      targets.push_back(switches_[reference(s, switchNames_, switches_.size(), where)]);
    });
    if (targets.size() != type.uplinks.size())
      fail(place,
           fmt::format("{} uplinks lead to {} switches", type.uplinks.size(), targets.size()),
           "name one switch per uplink of the type in uplinks_to");
    const std::vector<std::string> names = nodeNames(fields);
    fields.finish();
    vertices_ += static_cast<int64_t>(names.size() * type.vertices.size());
    if (vertices_ > kMostVertices)
      fail(place, fmt::format("more than {} devices and switches", kMostVertices),
           "plan for a smaller cluster");
    for (const std::string& name : names) addNode(type, targets, name);
  }

  void addNode(const NodeType& type, const std::vector<Vertex>& targets, const std::string& name) {
    const NodeId node = c_.addNode(name);
    std::vector<Vertex>& own = members_.emplace_back();
    for (const NodeType::Vertex& v : type.vertices)
      own.push_back(v.device ? c_.vertex(c_.addDevice(v.spec, node)) : c_.addSwitch(v.name, node));
    for (const NodeType::Edge& e : type.links) c_.addLink(own[e.a], own[e.b], e.spec, e.width);
    for (size_t i = 0; i < targets.size(); ++i)
      c_.addLink(own[type.uplinks[i].a], targets[i], type.uplinks[i].spec, type.uplinks[i].width);
    nodeTypes_.push_back(&type);
  }

  void readSwitchLink(const json& l, const std::string& place) {
    checkEntry(l, 3, place, "[switch, switch, link, width]");
    c_.addLink(switches_[reference(l[0], switchNames_, switches_.size(), place)],
               switches_[reference(l[1], switchNames_, switches_.size(), place)],
               linkSpec(l[2], place), readWidth(l, 3, place));
  }

  Vertex nodeVertex(const json& node, const json& vertex, const std::string& place) {
    const uint32_t n = index(node, members_.size(), place);
    return members_[n][reference(vertex, nodeTypes_[n]->names, members_[n].size(), place)];
  }

  void readNodeLink(const json& l, const std::string& place) {
    checkEntry(l, 5, place, "[node, vertex, node, vertex, link, width]");
    c_.addLink(nodeVertex(l[0], l[1], place), nodeVertex(l[2], l[3], place), linkSpec(l[4], place),
               readWidth(l, 5, place));
  }

  JsonFields root_;
  const Hardware& hardware_;
  Cluster c_;
  Names deviceNames_, linkNames_, switchNames_;
  std::vector<Vertex> switches_;
  std::deque<NodeType> types_;
  std::vector<std::vector<Vertex>> members_;  // per node
  std::vector<const NodeType*> nodeTypes_;
  int64_t vertices_ = 0;
};

}  // namespace

std::string clusterToJson(const Cluster& cluster) {
  return Writer(cluster).write().dump(1);
}

Cluster clusterFromJson(const std::string& text, const std::string& file,
                        const Hardware& hardware) {
  const json root = parseJson(text, file);
  try {
    return Reader(root, hardware).read();
  } catch (const Error& e) {
    throw e.inFile(file);
  }
}

}  // namespace meshplan
