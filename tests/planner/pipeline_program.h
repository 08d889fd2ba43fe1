// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "planner/pipeline_schedule.h"
#include "planner/simulator.h"

namespace meshplan {

struct PipelineOptions {
  ScheduleKind schedule = ScheduleKind::oneFOneB;
  int64_t stages = 4, microBatches = 8, virtualStages = 1;
  int layers = 1;      // compute instructions per forward of a chunk, twice as many per backward
  double forward = 1;  // seconds per layer; a backward layer takes twice as long
  double tensor =
      0;  // > 0: a blocking all-reduce of that many seconds after each layer, and in its backward
  double transfer = 0;     // between stages
  double gradients = 0;    // > 0: a gradient all-reduce per layer, beside the last backward
  double update = 0;       // > 0: an update that drains the gradients
  int64_t savedBytes = 0;  // per layer, from forward to backward
};

struct PipelineProgram {
  Program program;
  InstructionTimes times;
};

/// A training step of equal chunks of equal layers over a pipeline.
PipelineProgram pipelineProgram(const PipelineOptions& options);

/// A training step of random routines over a random pipeline: several streams, random waits,
/// drains, collectives over the pipeline axis and memory. Times are without meaning but never 0
/// together.
PipelineProgram randomProgram(uint32_t seed);

}  // namespace meshplan
