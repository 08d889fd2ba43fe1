// SPDX-License-Identifier: Apache-2.0
#include "planner/link_parameters.h"

#include <fmt/core.h>

#include <cmath>
#include <string>

#include "core/error.h"

namespace meshplan {
namespace {

using P = LinkParameters;

constexpr LinkParameterDefinition kDefinitions[] = {
    {"base_latency", &P::baseLatency, 0, 1e-2},
    {"hop_latency", &P::hopLatency, 0, 1e-2},
    {"tree_hop_latency", &P::treeHopLatency, 0, 1e-2},
    {"protocol_latency", &P::protocolLatency, 0, 1e-2},
    {"protocol_bytes", &P::protocolBytes, 1, 1e9},
    {"chunk_hop_latency", &P::chunkHopLatency, 0, 1e-2},
    {"pipeline_latency", &P::pipelineLatency, 0, 1e-2},
    {"efficiency", &P::efficiency, 0.01, 1},
    {"concurrent_efficiency", &P::concurrentEfficiency, 0.01, 1},
    {"tree_efficiency", &P::treeEfficiency, 0.01, 1},
    {"pass_bandwidth", &P::passBandwidth, 1e6, 1e15},
    {"multicast_efficiency", &P::multicastEfficiency, 0, 1},
    {"multicast_ranks", &P::multicastRanks, 2, 1e6},
    {"transfer_efficiency", &P::transferEfficiency, 0.01, 1},
    {"transfer_latency", &P::transferLatency, 0, 1e-1},
    {"collective_uncertainty", &P::uncertainty, 0, 10},
};

// NVLink and InfiniBand: rounded values of the fits to A100 and ND A100 v4, but InfiniBand's
// efficiency, which lies between that of virtual functions and that of EFA. tree_hop_latency:
// NCCL's tuning.cc, LL; chunk_hop_latency: there too, Simple.
constexpr LinkParameters kNvlink = {.baseLatency = 4e-6,
                                    .hopLatency = 1.7e-6,
                                    .treeHopLatency = 0.6e-6,
                                    .protocolLatency = 33e-6,
                                    .chunkHopLatency = 3.4e-6,
                                    .protocolBytes = 38e3,
                                    .pipelineLatency = 4e-6,
                                    .efficiency = 0.95,
                                    .concurrentEfficiency = 1,
                                    .treeEfficiency = 0.8,
                                    .passBandwidth = 840e9,
                                    .multicastEfficiency = 0,
                                    .multicastRanks = 5,
                                    .transferEfficiency = 0.67,
                                    .transferLatency = 90e-6,
                                    .uncertainty = 0.2};

constexpr LinkParameters kPcie = [] {
  LinkParameters p = kNvlink;
  p.hopLatency = 2.5e-6;
  p.treeHopLatency = 1e-6;
  p.chunkHopLatency = 5.7e-6;
  p.efficiency = 0.8;
  p.uncertainty = 0.3;
  return p;
}();

constexpr LinkParameters kInfiniband = [] {
  LinkParameters p = kNvlink;
  p.hopLatency = 2.7e-6;
  p.treeHopLatency = 5e-6;
  p.protocolLatency = 20e-6;
  p.chunkHopLatency = 14e-6;
  p.protocolBytes = 25e3;
  p.pipelineLatency = 0;
  p.efficiency = 0.85;
  p.treeEfficiency = 0.8;
  p.uncertainty = 0.2;
  return p;
}();

// Kernel TCP: the link's own latency says most; the rest is copies through the host.
constexpr LinkParameters kEthernet = [] {
  LinkParameters p = kInfiniband;
  p.hopLatency = p.treeHopLatency = 20e-6;
  p.efficiency = 0.75;
  p.uncertainty = 0.35;
  return p;
}();

}  // namespace

std::span<const LinkParameterDefinition> linkParameterDefinitions() {
  return kDefinitions;
}

LinkParameters defaultLinkParameters(LinkKind kind) {
  switch (kind) {
    case LinkKind::nvlink:
    case LinkKind::nvswitch:
    case LinkKind::xgmi:
      return kNvlink;
    case LinkKind::pcie:
    case LinkKind::memory:
      return kPcie;
    case LinkKind::infiniband:
    case LinkKind::roce:
      return kInfiniband;
    case LinkKind::ethernet:
      break;
  }
  return kEthernet;
}

LinkParameters resolveLinkParameters(const LinkSpec& spec) {
  LinkParameters p = defaultLinkParameters(spec.kind);
  for (const LinkParameterDefinition& d : kDefinitions) {
    const auto own = spec.parameters.find(std::string(d.name));
    if (own == spec.parameters.end()) continue;
    const double value = own->second.value;
    if (!std::isfinite(value) || value < d.low || value > d.high)
      throw Error(ErrorKind::input, fmt::format("{} is {}", d.name, value),
                  fmt::format("give a value between {} and {}", d.low, d.high))
          .at(spec.name);
    p.*d.member = value;
  }
  return p;
}

}  // namespace meshplan
