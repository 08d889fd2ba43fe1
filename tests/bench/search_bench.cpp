// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <string>

#include "core/import/load_model.h"
#include "planner/analytic_cost.h"
#include "planner/memory_model.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

/// A whole `meshplan plan` without printing, on one thread: model file to ranked plans.
void planning(benchmark::State& state, const char* model, const char* cluster, int64_t batch,
              int64_t sequence) {
  SearchResult result;
  for (auto _ : state) {
    ModelRequest request;
    request.source = model;
    if (sequence > 0)
      request.sequence = sequence;
    else
      request.dims["batch"] = 1;
    const TrainingModel training = prepareTraining(loadModel(request), {});
    const Cluster machines = loadCluster(cluster);
    const DeviceSpec& device = machines.specs().front();
    const AnalyticCost cost(device);
    const PlanContext context(training, machines, cost, usableMemory(device));
    SearchOptions options;
    options.globalBatch = batch;
    result = searchPlans(context, options);
  }
  state.counters["candidates"] = static_cast<double>(result.evaluated);
  state.counters["simulated"] = static_cast<double>(result.simulated);
  state.counters["step_seconds"] = result.plans.empty() ? 0 : result.plans.front().stepTime.value;
  state.counters["gap"] = result.gap;
}

const std::string kModels = MESHPLAN_SOURCE_DIR "/examples/models/";

BENCHMARK_CAPTURE(planning, llama3_8b_on_8, (kModels + "llama3-8b/config.json").c_str(),
                  "8xH100-SXM", 64, 4096)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(planning, resnet50_onnx_on_8, (kModels + "resnet50/resnet50.onnx").c_str(),
                  "8xA100-SXM-80GB", 2048, 0)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(planning, gpt3_175b_on_1024, "gpt3-175b", "128x8xA100-SXM-80GB", 1536, 2048)
    ->Unit(benchmark::kSecond);

/// Closed form alone: candidates per second and core.
void enumeration(benchmark::State& state) {
  ModelRequest request;
  request.source = "gpt3-175b";
  const TrainingModel training = prepareTraining(loadModel(request), {});
  const Cluster machines = loadCluster("128x8xA100-SXM-80GB");
  const DeviceSpec& device = machines.specs().front();
  const AnalyticCost cost(device);
  const PlanContext context(training, machines, cost, usableMemory(device));
  size_t candidates = 0;
  for (auto _ : state) {
    SearchSpace space;
    space.globalBatch = 1536;
    candidates = Candidates(context, space).enumerate().size();
  }
  state.counters["candidates"] = static_cast<double>(candidates);
  state.counters["candidates_per_second"] = benchmark::Counter(
      static_cast<double>(candidates), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(enumeration)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace meshplan
