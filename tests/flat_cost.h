// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "planner/cost_model.h"

namespace meshplan {

/// A cost model that tests can compute in their heads: 1 TFLOP/s, 1 TB/s or another memory
/// bandwidth, 1 us per launch, and for collectives 1 us plus wire bytes over 100 GB/s.
class FlatCost : public CostModel {
 public:
  explicit FlatCost(double memoryBandwidth = 1e12) : memoryBandwidth_(memoryBandwidth) {}

  Estimate operatorTime(const OperatorWork& work) const override {
    if (work.def->opClass == OpClass::view) return {};
    return {Seconds(work.flops / 1e12 + work.bytes / memoryBandwidth_ + 1e-6), 0,
            Provenance::analytic};
  }
  Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                          const GroupTopology& group) const override {
    if (group.ranks <= 1 && kind != CollectiveKind::sendReceive) return {};
    return {Seconds(1e-6 + wireBytes(kind, static_cast<double>(bytes.value), group.ranks) / 1e11),
            0, Provenance::analytic};
  }
  double computeSlowdown() const override { return 1; }
  double collectiveSlowdown() const override { return 1; }

 private:
  double memoryBandwidth_;
};

}  // namespace meshplan
