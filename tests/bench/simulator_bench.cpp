// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include "planner/simulator.h"
#include "tests/planner/pipeline_program.h"

namespace meshplan {
namespace {

// 12 layers of 4 operators, as a stage of GPT-3 175B on 8 stages has them; items are instructions.
PipelineOptions transformerStages() {
  return {.stages = 8,
          .microBatches = 64,
          .layers = 48,
          .forward = 1e-3,
          .tensor = 2e-4,
          .transfer = 5e-4,
          .gradients = 3e-3,
          .update = 0.1,
          .savedBytes = 1 << 20};
}

void run(benchmark::State& state, const PipelineProgram& p, SimulationOptions options) {
  uint64_t instructions = 0;
  for (auto _ : state) {
    const Timeline t = simulate(p.program, p.times, options);
    benchmark::DoNotOptimize(t.stepTime);
    instructions += t.events;
  }
  state.SetItemsProcessed(int64_t(instructions));
}

void simulateStep(benchmark::State& state) {
  run(state, pipelineProgram(transformerStages()), {});
}
BENCHMARK(simulateStep)->Unit(benchmark::kMillisecond);

void simulateStepWithSlowdowns(benchmark::State& state) {
  PipelineProgram p = pipelineProgram(transformerStages());
  p.times.computeSlowdown = 1.1;
  p.times.collectiveSlowdown = 1.2;
  for (const auto& routine : p.times.times)
    p.times.demands.emplace_back(routine.size(), LinkDemand{0.9f, 0});
  run(state, p, {});
}
BENCHMARK(simulateStepWithSlowdowns)->Unit(benchmark::kMillisecond);

void simulateInterleaved(benchmark::State& state) {
  PipelineOptions o = transformerStages();
  o.schedule = ScheduleKind::interleaved;
  o.virtualStages = 4;
  o.layers = 12;
  run(state, pipelineProgram(o), {});
}
BENCHMARK(simulateInterleaved)->Unit(benchmark::kMillisecond);

// Whole steps per second: 16 stages, 64 micro-batches.
void simulateSixteenStages(benchmark::State& state) {
  PipelineOptions o = transformerStages();
  o.stages = 16;
  o.layers = 24;
  run(state, pipelineProgram(o), {});
  state.counters["steps_per_second"] =
      benchmark::Counter(double(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(simulateSixteenStages)->Unit(benchmark::kMillisecond);

// Without contraction: what the event loop alone does.
void simulateAndRecordMemory(benchmark::State& state) {
  run(state, pipelineProgram(transformerStages()), {.recordMemory = true});
}
BENCHMARK(simulateAndRecordMemory)->Unit(benchmark::kMillisecond);

void simulateAndRecordEverything(benchmark::State& state) {
  run(state, pipelineProgram(transformerStages()), {.recordSpans = true, .recordMemory = true});
}
BENCHMARK(simulateAndRecordEverything)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace meshplan
