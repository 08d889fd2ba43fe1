// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "planner/attention_cost.h"
#include "planner/convolution_cost.h"
#include "planner/cost_model.h"
#include "planner/runtime_parameters.h"

namespace meshplan {

/// Seconds of one operator on one device from formulas (docs/cost_model.md, "Operators");
/// everything that depends on the device alone is computed once, so a call is a few hundred
/// arithmetic operations and never allocates.
///   matrix work   (compute^4 + memory^4)^(1/4) of its tiles and its traffic: a roofline with a
///   rounded ridge other work    bytes over a bandwidth that rises with size, faster for what fits
///   in L2; views are free
/// plus a launch per kernel. What the host needs to issue them is apart (hostTime).
/// Throws Error(input) for a device whose figures are not positive or whose parameters are out of
/// bounds.
class AnalyticCost : public CostModel {
 public:
  explicit AnalyticCost(const DeviceSpec& spec, RuntimeKind runtime = RuntimeKind::native);
  AnalyticCost(const DeviceSpec& spec, const RuntimeParameters& runtime);

  Estimate operatorTime(const OperatorWork& work) const override;
  Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                          const GroupTopology& group) const override;
  double computeSlowdown() const override { return parameters_.computeSlowdown; }
  double collectiveSlowdown() const override { return parameters_.collectiveSlowdown; }

  Seconds hostTime(const OperatorWork& work) const override;
  Seconds hostCollectiveTime() const override;
  const DeviceParameters& parameters() const { return parameters_; }

 private:
  struct Part {
    double seconds = 0, uncertainty = 0;
  };
  /// One of the `kernels` launches: its share of the FLOPs and bytes; the shapes are already per
  /// launch.
  Part kernelTime(const OperatorWork& work, double flops, double bytes) const;
  double accumulation(const OperatorWork& work) const;
  double contraction(const OperatorWork& work, double flops, double bytes) const;
  double convolution(const OperatorWork& work, double bytes) const;
  double attention(const OperatorWork& work, double bytes) const;
  double memoryBound(double flops, double bytes, double efficiency) const;
  double memorySeconds(double bytes) const;
  const MatrixCost& unit(DType compute) const { return units_[static_cast<size_t>(compute)]; }

  static constexpr size_t kDTypes = static_cast<size_t>(DType::boolean) + 1;
  DeviceParameters parameters_;
  RuntimeParameters runtime_;
  std::array<MatrixCost, kDTypes> units_;
  AttentionCost attention_;
  ConvolutionCost convolution_;
  double secondsPerByte_ = 0, cachedSecondsPerByte_ = 0, cache_ = 1, secondsPerVectorFlop_ = 0;
};

}  // namespace meshplan
