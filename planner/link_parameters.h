// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/cluster.h"

namespace meshplan {

/// The few physical constants of a kind of link that the collective formulas use
/// (docs/cost_model.md, "Communication"). Latencies in seconds. A small message pays `hop` per
/// step; a large one also pays `protocol`, the price of the chunked protocol that reaches full
/// bandwidth.
struct LinkParameters {
  double baseLatency;     // launch and handshake of a collective
  double hopLatency;      // one step of a ring, small message
  double treeHopLatency;  // one step of a tree or chain, small message
  double
      protocolLatency;  // added once the message outgrows `protocolBytes`; network: per tree level
  double chunkHopLatency;  // one step of a ring between nodes that passes large chunks on
  double protocolBytes;  // [B] at which half of it is paid: per rank in a node, in all across nodes
  double pipelineLatency;       // filling a pipeline of chunks, see `stream` of docs/cost_model.md;
                                // network: per tree level
  double efficiency;            // share of the bandwidth that a ring reaches
  double concurrentEfficiency;  // further share for groups that share the nodes' adapters with
                                // others of the same mesh axes
  double treeEfficiency;        // bandwidth of a tree over a ring's
  double passBandwidth;         // [B/s] of the local pass over the data that a collective makes
  double multicastEfficiency;   // share of the bandwidth of in-network reduction; 0: not available
  double multicastRanks;        // least ranks for which the library chooses it
  double transferEfficiency;    // share of the bandwidth of all-to-all and of sends
  double transferLatency;       // of an all-to-all
  double uncertainty;           // one standard deviation of a prediction, relative
};

struct LinkParameterDefinition {
  std::string_view name;  // in LinkSpec::parameters and in docs/cost_model.md
  double LinkParameters::*member;
  double low, high;  // physical bounds, inclusive
};

std::span<const LinkParameterDefinition> linkParameterDefinitions();

/// Defaults of a kind: NCCL's tuning constants (NVIDIA/nccl src/graph/tuning.cc) where nothing was
/// fitted.
LinkParameters defaultLinkParameters(LinkKind kind);

/// The kind's defaults overridden by the link's own parameters. Throws Error(input) for a value
/// outside the bounds.
LinkParameters resolveLinkParameters(const LinkSpec& spec);

}  // namespace meshplan
