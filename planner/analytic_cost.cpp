// SPDX-License-Identifier: Apache-2.0
#include "planner/analytic_cost.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "planner/collective_cost.h"

namespace meshplan {
namespace {

double shapeFlops(const ContractionShape& s) {
  return 2 * s.batch * s.m * s.n * s.k;
}

void check(bool good, const DeviceSpec& spec, const char* problem) {
  if (!good) throw Error(ErrorKind::input, problem, "give a positive, finite figure").at(spec.name);
}

const DeviceSpec& checked(const DeviceSpec& spec) {
  auto positive = [](double x) { return std::isfinite(x) && x > 0; };
  check(positive(spec.memoryBandwidth.value), spec, "the memory bandwidth is not positive");
  check(positive(spec.vectorPeak.value), spec, "the vector peak is not positive");
  check(spec.multiprocessors > 0, spec, "the number of multiprocessors is not positive");
  check(spec.l2.value >= 0, spec, "the L2 size is negative");
  for (const auto& [dtype, peak] : spec.matrixPeak)
    check(positive(peak.value), spec, "a matrix peak is not positive");
  return spec;
}

}  // namespace

AnalyticCost::AnalyticCost(const DeviceSpec& spec, RuntimeKind runtime)
    : AnalyticCost(spec,
                   runtimeParameters(spec.architecture == "cpu" ? RuntimeKind::native : runtime)) {}

AnalyticCost::AnalyticCost(const DeviceSpec& spec, const RuntimeParameters& runtime)
    : parameters_(resolveParameters(checked(spec))),
      runtime_(runtime),
      attention_(parameters_),
      convolution_(spec, parameters_) {
  for (size_t i = 0; i < kDTypes; ++i)
    units_[i] = MatrixCost(spec, parameters_, static_cast<DType>(i));
  secondsPerByte_ = 1 / (spec.memoryBandwidth.value * parameters_.memoryEfficiency);
  cachedSecondsPerByte_ = secondsPerByte_ / parameters_.cacheSpeedup;
  // Half of L2: the other half holds what the kernel writes and what its neighbours left.
  cache_ = std::max(1.0, static_cast<double>(spec.l2.value) / 2);
  secondsPerVectorFlop_ = 1 / spec.vectorPeak.value;
}

Estimate AnalyticCost::operatorTime(const OperatorWork& work) const {
  if (work.def->opClass == OpClass::view) return {};
  if (work.kernels == 0)
    return {Seconds(work.bytes * secondsPerByte_), parameters_.memoryUncertainty,
            Provenance::analytic};
  double kernels = static_cast<double>(work.kernels);
  double bytes = work.bytes;
  if (work.phase == Phase::update) bytes += runtime_.gradientPasses * work.accumulated;
  auto [seconds, uncertainty] = kernelTime(work, work.flops / kernels, bytes / kernels);
  if (runtime_.addsGradients && work.accumulated > 0 && work.phase != Phase::update)
    seconds += accumulation(work) / kernels;
  return {Seconds(kernels * (seconds + parameters_.launchFloor)), uncertainty,
          Provenance::analytic};
}

Estimate AnalyticCost::collectiveTime(CollectiveKind kind, Bytes bytes,
                                      const GroupTopology& group) const {
  return collectiveCost(kind, bytes, group);
}

Seconds AnalyticCost::hostTime(const OperatorWork& work) const {
  const double each = work.phase == Phase::forward ? runtime_.forward : runtime_.backward;
  const int64_t launches =
      work.def->opClass == OpClass::attention
          ? AttentionCost::kernels(work.attention, work.phase != Phase::forward)
          : 1;
  return Seconds(each * static_cast<double>(launches * work.kernels));
}

Seconds AnalyticCost::hostCollectiveTime() const {
  return Seconds(runtime_.collective);
}

AnalyticCost::Part AnalyticCost::kernelTime(const OperatorWork& work, double flops,
                                            double bytes) const {
  const DeviceParameters& p = parameters_;
  switch (work.def->opClass) {
    case OpClass::contraction:
    case OpClass::recurrent:
      return {contraction(work, flops, bytes), p.contractionUncertainty};
    case OpClass::convolution:
      return {convolution(work, bytes), p.convolutionUncertainty};
    case OpClass::attention:
      return {attention(work, bytes), p.attentionUncertainty};
    case OpClass::normalization:
    case OpClass::reduction:
    case OpClass::loss:
      return {memoryBound(flops, bytes, p.rowwiseEfficiency), p.memoryUncertainty};
    case OpClass::movement:
    case OpClass::embedding:
    case OpClass::moe:
      return {memoryBound(flops, bytes, p.gatherEfficiency), p.memoryUncertainty};
    case OpClass::elementwise:
    case OpClass::optimizer:
    case OpClass::opaque:
      return {memoryBound(flops, bytes, 1), p.memoryUncertainty};
    case OpClass::view:
      break;
  }
  return {};
}

double AnalyticCost::accumulation(const OperatorWork& work) const {
  const double made = work.outputElements * static_cast<double>(dtypeBytes(work.compute));
  return memorySeconds(made + 2 * work.accumulated) + parameters_.launchFloor;
}

double AnalyticCost::contraction(const OperatorWork& work, double flops, double bytes) const {
  const MatrixCost& matrix = unit(work.compute);
  double memory = memorySeconds(matrix.trafficBytes(work.contraction, bytes));
  double compute = matrix.seconds(work.contraction);
  // Products that the shape does not show (an Einsum of three operands) run at the ceiling.
  double hidden = std::max(0.0, flops - shapeFlops(work.contraction));
  return roundedMax(compute + hidden / matrix.ceiling(), memory) + memorySeconds(work.biasBytes);
}

double AnalyticCost::convolution(const OperatorWork& work, double bytes) const {
  const MatrixCost& matrix = unit(work.compute);
  double transposes = matrix.hasMatrixUnits() && work.transposedBytes > 0
                          ? memorySeconds(work.transposedBytes) / parameters_.gatherEfficiency
                          : 0;
  return roundedMax(convolution_.seconds(matrix, work), memorySeconds(bytes)) + transposes +
         memorySeconds(work.biasBytes);
}

double AnalyticCost::attention(const OperatorWork& work, double bytes) const {
  const MatrixCost& matrix = unit(work.compute);
  bool backward = work.phase != Phase::forward;
  double memory = memorySeconds(bytes);
  if (work.attention.flash)
    return roundedMax(attention_.flashSeconds(matrix, work.attention, backward), memory);
  const auto scores = attention_.scoreBytes(matrix, work.attention, backward);
  const double products = attention_.mathSeconds(matrix, work.attention, backward);
  if (scores.inProducts == 0) return products + std::max(memorySeconds(scores.between), memory);
  return roundedMax(products, memorySeconds(scores.inProducts)) + memorySeconds(scores.between);
}

double AnalyticCost::memoryBound(double flops, double bytes, double efficiency) const {
  return std::max(memorySeconds(bytes) / efficiency, flops * secondsPerVectorFlop_);
}

double AnalyticCost::memorySeconds(double bytes) const {
  if (bytes <= 0) return 0;
  double fill = bytes / cache_;
  double cached = bytes / (1 + fill * fill);
  return (bytes - cached + parameters_.memoryHalfSize) * secondsPerByte_ +
         cached * cachedSecondsPerByte_;
}

}  // namespace meshplan
