// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>

#include "core/plan.h"
#include "core/timeline.h"
#include "planner/cost_model.h"
#include "planner/search/step_evidence.h"
#include "planner/simulator.h"
#include "planner/training_model.h"

namespace meshplan {

/// What the simulator says about one plan. When it does not fit, `feasible` is false, the rejection
/// says why and all figures are still those of the plan as if memory sufficed.
struct PlanReport {
  Plan plan;
  std::string strategy;  // strategyText of the plan
  std::string label;     // "best", or the name of a baseline
  bool feasible = false;
  Rejection rejection;
  bool sequenceParallel = false;
  Seconds stepTime;
  double samplesPerSecond = 0, tokensPerSecond = 0;
  double tflopsPerDevice = 0;  // model FLOPs (no recomputation), 1e12 per second and device
  double mfu = 0;              // of the device's peak for the compute dtype
  Bytes peakMemory;            // of the fullest rank
  std::array<Bytes, kMemoryCategories> memoryByCategory{};
  TimeByCategory timeByCategory;  // of the rank class that computes longest
  size_t peakStage = 0, slowestStage = 0;
  std::string peakOwner;  // the operator that runs at the peak
  Provenance provenance = Provenance::analytic;
  double uncertainty = 0;
  StepEvidence evidence;  // behind both
  double dollarsPerStep = 0;
};

/// A model on a cluster under a memory limit: what every evaluation shares.
struct PlanContext {
  const TrainingModel& model;
  const Cluster& cluster;
  const CostModel& cost;
  Bytes memoryLimit;  // per device
  Flops flopsPerSample;

  PlanContext(const TrainingModel& m, const Cluster& c, const CostModel& k, Bytes limit);
};

/// Program, times and timeline of one plan, for those who want to look inside.
struct Simulated {
  Program program;
  InstructionTimes times;
  Timeline timeline;
};
Simulated simulatePlan(const PlanContext& context, const Plan& plan,
                       const SimulationOptions& options);

/// Lowers, simulates and sums up. Deterministic. Throws Error(usage) for a plan that contradicts
/// itself.
PlanReport evaluatePlan(const PlanContext& context, const Plan& plan);
PlanReport reportOf(const PlanContext& context, const Plan& plan, const Simulated& simulated);

/// Whether a plan splits the residual stream over the tensor axis.
bool usesSequenceParallel(const TrainingModel& model, const Plan& plan);

}  // namespace meshplan
