// SPDX-License-Identifier: Apache-2.0
#include "profiles/cluster_import.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "profiles/cluster_preset.h"

namespace meshplan {
namespace {

constexpr size_t kMostHosts = 1 << 17;

[[noreturn]] void fail(const std::string& place, const std::string& problem,
                       const std::string& remedy) {
  throw Error(ErrorKind::input, problem, remedy).at(place);
}

// from_chars takes no sign and no space, and reports overflow.
int64_t number(const std::string& text, int64_t most, const std::string& place) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most)
    fail(place, fmt::format("'{}' is not a number in range", text.substr(0, 40)),
         fmt::format("give 0 to {}", most));
  return value;
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> out;
  for (std::string w; in >> w;) out.push_back(w);
  return out;
}

const std::string& known(const Catalog& catalog, const std::string& device,
                         const std::string& remedy) {
  if (device.empty()) throw Error(ErrorKind::usage, "the kind of device is not known", remedy);
  return catalog.device(device).name;
}

Cluster named(const Catalog& catalog, const std::string& device, int64_t perNode,
              const std::vector<std::string>& names, const std::string& network) {
  NodeTemplate node = deviceRecipe(catalog, device, perNode, 1).node;
  if (!network.empty()) applyNetwork(catalog, node, network);
  return buildCluster(node, names);
}

void requireUnique(const std::vector<std::string>& names) {
  std::set<std::string_view> seen;
  for (const std::string& n : names)
    if (!seen.insert(n).second)
      fail("node '" + n.substr(0, 80) + "'", "it is listed twice", "list every node once");
}

// ---- hostfiles

struct Host {
  std::string name;
  int64_t slots = 1;
};

Host parseHost(const std::vector<std::string>& line, const std::string& place) {
  Host host{line[0], 1};
  constexpr int64_t kMostSlots = 4096;
  if (const size_t colon = host.name.find(':'); colon != std::string::npos) {
    host.slots = number(host.name.substr(colon + 1), kMostSlots, place);
    host.name.resize(colon);
  }
  for (size_t i = 1; i < line.size(); ++i) {
    const size_t equals = line[i].find('=');
    const std::string key = line[i].substr(0, equals);
    if (equals == std::string::npos || (key != "slots" && key != "max_slots" && key != "max-slots"))
      fail(place, fmt::format("'{}' is not understood", line[i].substr(0, 40)),
           "write HOST slots=N");
    const int64_t value = number(line[i].substr(equals + 1), kMostSlots, place);
    if (key == "slots") host.slots = value;
  }
  if (host.slots == 0) fail(place, "the node has no slots", "give it at least one, or remove it");
  return host;
}

std::vector<Host> parseHosts(const std::string& text) {
  std::vector<Host> hosts;
  std::istringstream in(text);
  size_t lineNumber = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string place = fmt::format("line {}", ++lineNumber);
    if (std::any_of(line.begin(), line.end(), [](char c) { return c == '\0' || c == '{'; }))
      fail(place, "this is not a hostfile", "give a cluster file as docs/formats.md describes");
    const std::vector<std::string> parts = words(line.substr(0, line.find('#')));
    if (parts.empty()) continue;
    hosts.push_back(parseHost(parts, place));
    if (hosts.back().slots != hosts.front().slots)
      fail(place,
           fmt::format("{} slots, but the first node has {}", hosts.back().slots,
                       hosts.front().slots),
           "describe nodes of different sizes in a JSON cluster file");
    if (hosts.size() > kMostHosts) fail(place, "too many nodes", "plan for a smaller cluster");
  }
  return hosts;
}

// ---- SLURM

// Splits at commas outside brackets.
std::vector<std::string> splitList(const std::string& text) {
  std::vector<std::string> parts(1);
  bool inside = false;
  for (char c : text) {
    if (c == '[' || c == ']') {
      if (inside == (c == '[')) fail("node list", "its brackets do not match", "write n[01-04,07]");
      inside = c == '[';
    }
    if (c == ',' && !inside)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (inside) fail("node list", "a bracket is not closed", "write n[01-04,07]");
  return parts;
}

void expandRange(const std::string& prefix, const std::string& range, const std::string& suffix,
                 std::vector<std::string>& names) {
  const size_t dash = range.find('-');
  const std::string low = range.substr(0, dash);
  const std::string high = dash == std::string::npos ? low : range.substr(dash + 1);
  const int64_t first = number(low, 1 << 30, "node list"),
                last = number(high, 1 << 30, "node list");
  if (low.size() > 12) fail("node list", "a number has too many digits", "write 12 or fewer");
  if (last < first)
    fail("node list", fmt::format("the range {} runs backwards", range.substr(0, 40)),
         "write it upwards");
  if (size_t(last - first) + names.size() >= kMostHosts)
    fail("node list", "too many nodes", fmt::format("list {} or fewer", kMostHosts));
  for (int64_t i = first; i <= last; ++i)
    names.push_back(fmt::format("{}{:0{}}{}", prefix, i, low.size(), suffix));
}

std::vector<std::string> expandNodeList(const std::string& text) {
  std::vector<std::string> names;
  for (const std::string& part : splitList(text)) {
    if (part.empty()) fail("node list", "a name is empty", "write n[01-04,07]");
    const size_t open = part.find('['), close = part.find(']');
    if (open == std::string::npos) {
      names.push_back(part);
      continue;
    }
    const std::string ranges = part.substr(open + 1, close - open - 1);
    const std::string suffix = part.substr(close + 1);
    if (suffix.find('[') != std::string::npos)
      fail("node list", "two ranges in one name", "write one range per name");
    std::istringstream in(ranges);
    for (std::string range; std::getline(in, range, ',');)
      expandRange(part.substr(0, open), range, suffix, names);
  }
  return names;
}

}  // namespace

Cluster clusterFromHostfile(const Catalog& catalog, const std::string& text,
                            const std::string& device) {
  const std::vector<Host> hosts = parseHosts(text);
  if (hosts.empty()) fail("", "the file lists no nodes", "write HOST slots=N, one line per node");
  const std::string& name = known(catalog, device, "give --device, for example A100-SXM-80GB");
  std::vector<std::string> names;
  for (const Host& h : hosts) names.push_back(h.name);
  requireUnique(names);
  return named(catalog, name, hosts.front().slots, names, {});
}

Cluster clusterFromSlurm(const Catalog& catalog, const std::string& text) {
  const size_t colon = text.find(':');
  const std::string body = text.substr(0, colon);
  const std::string form = "write slurm:n[01-04,07]x8xA100-SXM-80GB";
  for (size_t x = body.rfind('x'); x != std::string::npos && x > 0; x = body.rfind('x', x - 1)) {
    const size_t before = body.find_last_not_of("0123456789", x - 1);
    if (before == std::string::npos || before + 1 == x || body[before] != 'x') continue;
    const std::string device = body.substr(x + 1);
    const int64_t perNode = number(body.substr(before + 1, x - before - 1), 4096, "slurm");
    if (perNode == 0) fail("slurm", "a node has no devices", form);
    const std::vector<std::string> names = expandNodeList(body.substr(0, before));
    requireUnique(names);
    return named(catalog, known(catalog, device, form), perNode, names,
                 colon == std::string::npos ? "" : text.substr(colon + 1));
  }
  throw Error(ErrorKind::usage, fmt::format("'{}' names no devices", body.substr(0, 80)), form);
}

}  // namespace meshplan
