// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_order.h"

#include <algorithm>
#include <queue>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_names.h"

namespace meshplan {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
using Producers = std::unordered_map<std::string_view, size_t>;

Producers producersOf(const Nodes& nodes) {
  Producers producers;
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string& output : nodes[i].output())
      if (!output.empty() && !producers.emplace(output, static_cast<size_t>(i)).second)
        throw Error(ErrorKind::input, "two nodes produce '" + output + "'",
                    "names of tensors must be unique; export the model again")
            .at("node " + nodeLabel(nodes[i]));
  return producers;
}

void collect(const onnx::NodeProto& node, const Producers& producers, std::vector<size_t>& reads);

/// Names that a subgraph defines itself hide those outside.
void collect(const onnx::GraphProto& graph, const Producers& producers,
             std::vector<size_t>& reads) {
  std::vector<size_t> found, own;
  const auto define = [&](const std::string& name) {
    if (const auto it = producers.find(name); it != producers.end()) own.push_back(it->second);
  };
  for (const auto& input : graph.input()) define(input.name());
  for (const auto& tensor : graph.initializer()) define(tensor.name());
  for (const auto& node : graph.node())
    for (const std::string& output : node.output()) define(output);
  for (const auto& node : graph.node()) collect(node, producers, found);
  for (const auto& output : graph.output())
    if (const auto it = producers.find(output.name()); it != producers.end())
      found.push_back(it->second);
  std::sort(own.begin(), own.end());
  for (size_t producer : found)
    if (!std::binary_search(own.begin(), own.end(), producer)) reads.push_back(producer);
}

/// The producers of everything that the node or its subgraphs name.
void collect(const onnx::NodeProto& node, const Producers& producers, std::vector<size_t>& reads) {
  for (const std::string& input : node.input())
    if (const auto it = producers.find(input); it != producers.end()) reads.push_back(it->second);
  for (const auto& attribute : node.attribute())
    if (attribute.has_g()) collect(attribute.g(), producers, reads);
}

struct Dependencies {
  std::vector<std::vector<size_t>> users;
  std::vector<size_t> waits;
  bool sorted = true;
};

Dependencies dependenciesOf(const Nodes& nodes) {
  const auto count = static_cast<size_t>(nodes.size());
  Dependencies d{std::vector<std::vector<size_t>>(count), std::vector<size_t>(count), true};
  const Producers producers = producersOf(nodes);
  for (size_t i = 0; i < count; ++i) {
    std::vector<size_t> reads;
    collect(nodes[static_cast<int>(i)], producers, reads);
    std::sort(reads.begin(), reads.end());
    reads.erase(std::unique(reads.begin(), reads.end()), reads.end());
    for (size_t producer : reads) d.users[producer].push_back(i);
    d.waits[i] = reads.size();
    d.sorted = d.sorted && (reads.empty() || reads.back() < i);
  }
  return d;
}

/// Walks backwards from a node that never became ready until a node repeats.
[[noreturn]] void rejectCycle(const Nodes& nodes, const Dependencies& d) {
  std::vector<size_t> blockedBy(d.waits.size(), SIZE_MAX);
  for (size_t i = 0; i < d.waits.size(); ++i)
    for (size_t user : d.users[i])
      if (d.waits[i] > 0) blockedBy[user] = i;
  size_t at = 0;
  while (d.waits[at] == 0) ++at;
  for (size_t step = 0; step < d.waits.size(); ++step) at = blockedBy[at];
  std::string names;
  size_t listed = 0;
  for (size_t i = at; listed == 0 || i != at; i = blockedBy[i]) {
    if (++listed > 8) break;
    names =
        "'" + nodeLabel(nodes[static_cast<int>(i)]) + "'" + (names.empty() ? "" : " -> ") + names;
  }
  throw Error(ErrorKind::input, "the nodes " + names + (listed > 8 ? " …" : "") + " form a cycle",
              "a graph must be acyclic; export the model again");
}

}  // namespace

std::vector<const onnx::NodeProto*> inOrder(const Nodes& nodes) {
  Dependencies d = dependenciesOf(nodes);
  std::vector<const onnx::NodeProto*> order;
  if (d.sorted) {
    for (const auto& node : nodes) order.push_back(&node);
    return order;
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < d.waits.size(); ++i)
    if (d.waits[i] == 0) ready.push(i);
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    order.push_back(&nodes[static_cast<int>(i)]);
    for (size_t user : d.users[i])
      if (--d.waits[user] == 0) ready.push(user);
  }
  if (order.size() != d.waits.size()) rejectCycle(nodes, d);
  return order;
}

}  // namespace meshplan
