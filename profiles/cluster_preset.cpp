// SPDX-License-Identifier: Apache-2.0
#include "profiles/cluster_preset.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

constexpr int64_t kMostDevices = 1 << 20;

[[noreturn]] void fail(const std::string& problem, const std::string& remedy) {
  throw Error(ErrorKind::usage, problem, remedy);
}

bool isDigit(char c) {
  return c >= '0' && c <= '9';
}

// Takes "128x" off the front; nothing when the text does not start with a count.
std::optional<int64_t> takeCount(std::string& text) {
  size_t digits = 0;
  while (digits < text.size() && isDigit(text[digits])) ++digits;
  if (digits == 0 || digits >= text.size() || (text[digits] != 'x' && text[digits] != '*'))
    return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || value < 1 || value > kMostDevices)
    fail(fmt::format("the count {} is out of range", text.substr(0, digits)),
         fmt::format("give 1 to {}", kMostDevices));
  text.erase(0, digits + 1);
  return value;
}

[[noreturn]] void failUnknown(const Catalog& catalog, const std::string& name) {
  std::vector<std::string_view> known;
  for (const auto& [k, unused] : catalog.hardware().devices) known.push_back(k);
  for (const auto& [k, unused] : catalog.nodes()) known.push_back(k);
  fail(fmt::format("unknown device, node or file '{}'", name.substr(0, 80)),
       didYouMean(name, known, "run 'meshplan clusters' for the names, or give a cluster file"));
}

void shrink(NodeTemplate& node, int64_t devices) {
  const double share = static_cast<double>(devices) / static_cast<double>(node.devices);
  node.pricePerHour *= share;
  if (node.network.nics >= node.devices) node.network.nics = devices;
  node.devices = devices;
}

struct Rate {
  double bytesPerSecond;
};

// "100GB/s" or "800Gb/s".
std::optional<Rate> parseRate(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string unit(end, text.data() + text.size());
  const bool bytes = unit == "GB/s" || unit == "GBps";
  if (!bytes && unit != "Gb/s" && unit != "Gbps" && unit != "Gbit/s") return std::nullopt;
  if (!(value > 0 && value < 1e9))
    fail(fmt::format("the network's {} is out of range", text), "give a bandwidth above 0");
  return Rate{value * 1e9 / (bytes ? 1 : 8)};
}

const LinkSpec& networkLink(const Catalog& catalog, const std::string& name) {
  constexpr std::string_view kDefaultKind = "infiniband-";
  for (const std::string& full : {name, std::string(kDefaultKind) + name})
    if (catalog.isLink(full) && isNetwork(catalog.link(full).kind)) return catalog.link(full);
  std::vector<std::string_view> known;
  for (const auto& [k, link] : catalog.hardware().links) {
    if (!isNetwork(link.kind)) continue;
    known.push_back(k);
    if (k.starts_with(kDefaultKind))
      known.push_back(std::string_view(k).substr(kDefaultKind.size()));
  }
  fail(fmt::format("unknown network '{}'", name.substr(0, 80)),
       didYouMean(name, known, "give a link of the catalogue, or a bandwidth like 100GB/s"));
}

bool isKernelNetwork(const LinkSpec& link) {
  return link.kind == LinkKind::ethernet;
}

}  // namespace

ClusterRecipe deviceRecipe(const Catalog& catalog, const std::string& device, int64_t perNode,
                           int64_t nodes) {
  ClusterRecipe r{catalog.nodeOf(device), nodes > 0 ? nodes : 1};
  const int64_t whole = r.node.devices;
  if (nodes <= 0 && perNode > whole) {
    if (perNode % whole != 0)
      fail(fmt::format("{} devices do not fill nodes of {}", perNode, whole),
           fmt::format("write NODESxDEVICESx{}, or a multiple of {}", device, whole));
    r.nodes = perNode / whole;
    return r;
  }
  if (perNode != whole) shrink(r.node, perNode);
  return r;
}

void applyNetwork(const Catalog& catalog, NodeTemplate& node, const std::string& network) {
  NetworkTemplate& n = node.network;
  if (const auto rate = parseRate(network)) {
    n.link.bandwidth = BytesPerSecond(rate->bytesPerSecond / double(n.nics * n.width));
    n.link.name = network;
    n.link.source = "given on the command line";
    return;
  }
  std::string name = network;
  const auto count = takeCount(name);
  n.link = networkLink(catalog, name);
  n.width = 1;
  if (count)
    n.nics = *count;
  else if (isKernelNetwork(n.link))
    n.nics = 1;
}

ClusterRecipe parsePreset(const Catalog& catalog, const std::string& text) {
  const size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  const auto first = takeCount(name);
  const auto second = first ? takeCount(name) : std::nullopt;
  ClusterRecipe recipe;
  if (catalog.isNode(name) && !second)
    recipe = {catalog.node(name), first.value_or(1)};
  else if (catalog.isDevice(name))
    recipe = deviceRecipe(catalog, name, second.value_or(first.value_or(1)),
                          second ? first.value_or(1) : 0);
  else
    failUnknown(catalog, name);
  if (recipe.nodes > kMostDevices / recipe.node.devices)
    fail(fmt::format("more than {} devices", kMostDevices), "plan for a smaller cluster");
  if (colon != std::string::npos) applyNetwork(catalog, recipe.node, text.substr(colon + 1));
  return recipe;
}

}  // namespace meshplan
