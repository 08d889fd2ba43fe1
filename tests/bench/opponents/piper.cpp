// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/piper.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/units.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e300;
constexpr int64_t kMostDevices = 1'000'000;

int64_t wholeNumber(const std::string& text, const std::string& place) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size())
    throw Error(ErrorKind::input, fmt::format("'{}' is not a whole number", text),
                "write the key as a number")
        .at(place);
  return value;
}

class InstanceReader {
 public:
  PiperInstance read(const json& document) {
    JsonFields top(document, "");
    PiperInstance& p = instance_;
    p.memory = top.number("maxMemoryPerDevice", 1e-9, kLargest);
    p.bandwidth = top.number("bandwidth", 1e-9, kLargest);
    p.devices = top.integer("maxDevices", 1, kMostDevices);
    p.microBatches = top.integer("mbsInBatch", 1, kMostDevices);
    const json& nodes = top.array("nodes");
    for (size_t i = 0; i < nodes.size(); ++i) readId(nodes[i], fmt::format("nodes[{}]", i));
    const json& edges = top.array("edges");
    for (size_t i = 0; i < edges.size(); ++i) readEdge(edges[i], fmt::format("edges[{}]", i));
    for (size_t i = 0; i < nodes.size(); ++i)
      readOptions(p.nodes[i], nodes[i], fmt::format("nodes[{}]", i));
    if (p.nodes.empty()) top.reject("nodes", "no layer", "list at least one");
    return std::move(instance_);
  }

 private:
  void readId(const json& value, const std::string& place) {
    JsonFields fields(value, place);
    PiperNode node;
    node.id = fields.integer("id", 0, std::numeric_limits<int64_t>::max() / 2);
    if (!index_.emplace(node.id, static_cast<uint32_t>(instance_.nodes.size())).second)
      fields.reject("id", fmt::format("layer {} is there twice", node.id), "number them apart");
    instance_.nodes.push_back(std::move(node));
  }

  uint32_t node(JsonFields& fields, const std::string& key) {
    const auto found = index_.find(fields.integer(key, 0, std::numeric_limits<int64_t>::max() / 2));
    if (found == index_.end()) fields.reject(key, "no layer has this id", "name one of 'nodes'");
    return found->second;
  }

  void readEdge(const json& value, const std::string& place) {
    JsonFields fields(value, place);
    PiperEdge edge;
    edge.from = node(fields, "sourceId");
    edge.to = node(fields, "destId");
    edge.bytes = fields.number("communicationCost", 0, kLargest);
    if (!pairs_.emplace(edge.from, edge.to).second)
      fields.reject("destId", "the edge is there twice", "add up their bytes");
    const auto index = static_cast<uint32_t>(instance_.edges.size());
    instance_.nodes[edge.from].out.push_back(index);
    instance_.nodes[edge.to].in.push_back(index);
    instance_.edges.push_back(edge);
  }

  void readOptions(PiperNode& n, const json& value, const std::string& place) {
    JsonFields options = JsonFields(value, place).object("TMPCs");
    for (const auto& [degree, list] : options.value().items()) {
      const int64_t tensor = wholeNumber(degree, options.place());
      if (tensor < 1) options.reject(degree, "no tensor-parallel degree", "use 1 or more");
      const json& entries = options.array(degree);
      for (size_t i = 0; i < entries.size(); ++i)
        n.options[tensor].push_back(
            readOption(n, entries[i], fmt::format("{}.{}[{}]", options.place(), degree, i)));
    }
    if (n.options.empty())
      throw Error(ErrorKind::input, "no cost for any tensor-parallel degree",
                  "give the layer TMPCs for degree 1")
          .at(place);
  }

  PiperOption readOption(const PiperNode& n, const json& value, const std::string& place) {
    JsonFields fields(value, place);
    PiperOption o;
    o.id = fields.text("id");
    o.time = fields.number("timePerSample", 0, kLargest);
    o.parameters = fields.number("parameterSize", 0, kLargest);
    o.memoryPerMicroBatch = fields.number("memoryUsageA", 0, kLargest);
    o.memoryFixed = fields.number("memoryUsageB", 0, kLargest);
    JsonFields in = fields.object("syncTimeFw"), out = fields.object("syncTimeBw");
    for (uint32_t e : n.in) o.syncIn.push_back(sync(in, instance_.edges[e].from));
    for (uint32_t e : n.out) o.syncOut.push_back(sync(out, instance_.edges[e].to));
    in.finish();
    out.finish();
    return o;
  }

  double sync(JsonFields& fields, uint32_t neighbour) {
    return fields.number(std::to_string(instance_.nodes[neighbour].id), 0, kLargest);
  }

  PiperInstance instance_;
  std::map<int64_t, uint32_t> index_;
  std::set<std::pair<uint32_t, uint32_t>> pairs_;
};

void refuseCycles(const PiperInstance& p) {
  std::vector<size_t> waiting;
  std::vector<uint32_t> ready;
  for (uint32_t v = 0; v < p.nodes.size(); ++v) {
    waiting.push_back(p.nodes[v].in.size());
    if (waiting.back() == 0) ready.push_back(v);
  }
  size_t done = 0;
  for (; done < ready.size(); ++done)
    for (uint32_t e : p.nodes[ready[done]].out)
      if (--waiting[p.edges[e].to] == 0) ready.push_back(p.edges[e].to);
  if (done < p.nodes.size())
    throw Error(ErrorKind::input, "the layers form a cycle", "remove an edge of it").at("edges");
}

[[noreturn]] void refusePlan(size_t stage, const std::string& problem) {
  throw Error(ErrorKind::input, problem, "check that the plan belongs to this instance")
      .at(fmt::format("stages[{}]", stage));
}

uint32_t optionNamed(const PiperNode& n, int64_t tensor, const std::string& id, size_t stage) {
  const auto found = n.options.find(tensor);
  if (found != n.options.end())
    for (uint32_t i = 0; i < found->second.size(); ++i)
      if (found->second[i].id == id) return i;
  refusePlan(stage, fmt::format("layer {} has no '{}' at degree {}", n.id, id, tensor));
}

/// The stage of each layer; checks everything but memory.
std::vector<size_t> stagesOf(const PiperInstance& p, const PiperPlan& plan) {
  constexpr size_t none = SIZE_MAX;
  std::vector<size_t> stageOf(p.nodes.size(), none);
  int64_t devices = 0, replicas = 0;
  for (size_t s = 0; s < plan.size(); ++s) {
    for (uint32_t v : plan[s].nodes) {
      if (stageOf[v] != none) refusePlan(s, fmt::format("layer {} is there twice", p.nodes[v].id));
      stageOf[v] = s;
    }
    if (plan[s].replicas < 1 || p.microBatches % plan[s].replicas != 0)
      refusePlan(s, fmt::format("{} replicas do not divide the batch", plan[s].replicas));
    devices += plan[s].replicas * plan[s].tensor;
    replicas += plan[s].replicas;
  }
  for (size_t v = 0; v < p.nodes.size(); ++v)
    if (stageOf[v] == none) refusePlan(0, fmt::format("layer {} is missing", p.nodes[v].id));
  for (const PiperEdge& e : p.edges)
    if (stageOf[e.from] > stageOf[e.to]) refusePlan(stageOf[e.to], "comes before its input");
  if (devices > p.devices) refusePlan(0, "more devices than there are");
  if (replicas > p.microBatches) refusePlan(0, "more replicas than micro-batches");
  return stageOf;
}

}  // namespace

PiperInstance parsePiperInstance(const std::string& text, const std::string& file) {
  try {
    PiperInstance instance = InstanceReader().read(parseJson(text, file));
    refuseCycles(instance);
    return instance;
  } catch (const Error& e) {
    throw e.inFile(file);
  }
}

PiperPlan parsePiperPlan(const PiperInstance& instance, const std::string& text,
                         const std::string& file) try {
  std::map<int64_t, uint32_t> index;
  for (uint32_t v = 0; v < instance.nodes.size(); ++v) index[instance.nodes[v].id] = v;
  const json document = parseJson(text, file);
  PiperPlan plan;
  const json& stages = JsonFields(document, "").array("stages");
  for (size_t s = 0; s < stages.size(); ++s) {
    JsonFields fields(stages[s], fmt::format("stages[{}]", s));
    PiperStage stage;
    stage.replicas = fields.integer("dataParallelDegree", 1, kMostDevices);
    stage.tensor = fields.integer("tensorParallelDegree", 1, kMostDevices);
    for (const json& choice : fields.array("TMPCids")) {
      if (!choice.is_array() || choice.size() != 2 || !choice[0].is_number_integer() ||
          !choice[1].is_string() || index.count(choice[0].get<int64_t>()) == 0)
        fields.reject("TMPCids", "not a pair of a layer and its option", "write [0, \"vanilla\"]");
      stage.nodes.push_back(index.at(choice[0].get<int64_t>()));
      stage.choices.push_back(optionNamed(instance.nodes[stage.nodes.back()], stage.tensor,
                                          choice[1].get<std::string>(), s));
    }
    plan.push_back(std::move(stage));
  }
  return plan;
} catch (const Error& e) {
  throw e.inFile(file);
}

double piperTimePerSample(const PiperInstance& p, const PiperPlan& plan) {
  const std::vector<size_t> stageOf = stagesOf(p, plan);
  int64_t behind = 0;  // replicas of this and all later stages
  double slowest = 0;
  for (size_t s = plan.size(); s-- > 0;) {
    const PiperStage& stage = plan[s];
    behind += stage.replicas;
    const auto d = static_cast<double>(stage.replicas);
    const auto inFlight = static_cast<double>(ceilDiv(behind, stage.replicas));
    double compute = 0, edgeBytes = 0, parameters = 0, memory = 0;
    for (size_t i = 0; i < stage.nodes.size(); ++i) {
      const PiperNode& n = p.nodes[stage.nodes[i]];
      const PiperOption& o = n.options.at(stage.tensor)[stage.choices[i]];
      compute += o.time;
      parameters += o.parameters;
      memory += o.memoryPerMicroBatch * inFlight + o.memoryFixed;
      for (size_t e = 0; e < n.in.size(); ++e)
        if (stageOf[p.edges[n.in[e]].from] != s)
          edgeBytes += 2 * (p.edges[n.in[e]].bytes + o.syncIn[e]);
      for (size_t e = 0; e < n.out.size(); ++e)
        if (stageOf[p.edges[n.out[e]].to] != s)
          edgeBytes += 2 * (p.edges[n.out[e]].bytes + o.syncOut[e]);
    }
    if (memory > p.memory) return std::numeric_limits<double>::infinity();
    const double synchronisation =
        4 * (d - 1) / d * parameters / static_cast<double>(p.microBatches);
    slowest = std::max(slowest, (edgeBytes / d + synchronisation) / p.bandwidth + compute / d);
  }
  return slowest;
}

}  // namespace meshplan
