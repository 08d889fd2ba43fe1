// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/collective.h"
#include "core/device_mesh.h"
#include "core/work.h"

namespace meshplan {

enum class Provenance : uint8_t { analytic, interpolated, measured };
std::string_view provenanceName(Provenance p);

struct Estimate {
  Seconds time;
  double uncertainty = 0;  // one standard deviation, relative
  Provenance provenance = Provenance::analytic;
};

/// How a group of ranks lies on the machine, with every sibling group of the same mesh axes
/// communicating at once (SPMD): bandwidths are what one rank gets on the busiest link of the rings
/// through its group. One direction, B/s. All ranks of the group in a node may leave it at once, so
/// that the node gives the group ranksPerNode x interBandwidth.
struct GroupTopology {
  int64_t ranks = 1;
  int64_t nodes = 1;         // nodes that the group spans
  int64_t ranksPerNode = 1;  // its ranks in the fullest of them
  int64_t groups = 1;        // groups of the same axes side by side on the busiest of its nodes
  LinkKind intraKind = LinkKind::nvlink, interKind = LinkKind::infiniband;
  BytesPerSecond intraBandwidth{1e30}, interBandwidth{1e30};
  Seconds intraLatency, interLatency;
  bool concurrent = false;  // other groups of the same axes leave the same nodes at the same time
  bool multicast = false;   // in-network reduction is available for this group (NVLS)
  const LinkSpec* intraLink =
      nullptr;  // the limiting links, for their fitted parameters; may be null in tests
  const LinkSpec* interLink = nullptr;
  const DeviceSpec* device = nullptr;
};

/// The topology of the groups of `axes` (for sendReceive over the pipeline axis: of neighbouring
/// stages).
GroupTopology describeGroup(const Cluster& cluster, const DeviceMesh& mesh, MeshAxes axes);

/// Seconds of one operator on one device, of one collective on one group. Implementations:
/// analytic_cost (formulas), and profiles on top of it. Thread-safe when const.
class CostModel {
 public:
  virtual ~CostModel() = default;
  virtual Estimate operatorTime(const OperatorWork& work) const = 0;
  /// What the host takes to issue the work, or a collective or transfer; the device works through
  /// it meanwhile (planner/simulator.h).
  virtual Seconds hostTime(const OperatorWork&) const { return {}; }
  virtual Seconds hostCollectiveTime() const { return {}; }
  /// `bytes` is S of core/collective.h.
  virtual Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                                  const GroupTopology& group) const = 0;
  /// How much faster the work is when the other ranks of the host are idle; at least 1.
  virtual double loneSpeedup(const OperatorWork&) const { return 1; }
  /// How much slower compute (first) and a collective (second) run while they overlap on a device;
  /// both >= 1.
  virtual double computeSlowdown() const = 0;
  virtual double collectiveSlowdown() const = 0;
};

}  // namespace meshplan
