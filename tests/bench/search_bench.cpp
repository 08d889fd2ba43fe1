// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <fmt/format.h>

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

BENCHMARK_CAPTURE(planning, gpt3_175b_on_4096, "gpt3-175b", "512x8xA100-SXM-80GB", 4096, 2048)
    ->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(planning, deepseek_v3_on_16384, "deepseek-v3", "2048x8xH100-SXM", 16384, 4096)
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

struct Prepared {
  TrainingModel training;
  Cluster machines;
  AnalyticCost cost;

  Prepared(const ModelRequest& request, const std::string& cluster)
      : training(prepareTraining(loadModel(request), {})),
        machines(loadCluster(cluster)),
        cost(machines.specs().front(), RuntimeKind::pytorch) {}
};

ModelRequest gpt(int64_t layers) {
  ModelRequest request;
  request.source = "gpt";
  request.settings = {{"layers", std::to_string(layers)}, {"hidden", "4096"}, {"heads", "32"}};
  request.sequence = 2048;
  return request;
}

/// The search again after one change of the memory limit, model and cluster at hand.
void replanning(benchmark::State& state) {
  ModelRequest request;
  request.source = kModels + "llama3-8b/config.json";
  request.sequence = 4096;
  const Prepared p(request, "8xH100-SXM");
  int64_t gibibytes = 60;
  for (auto _ : state) {
    const PlanContext context(p.training, p.machines, p.cost, Bytes(gibibytes++ << 30));
    SearchOptions options;
    options.globalBatch = 64;
    options.threads = static_cast<int>(state.range(0));
    benchmark::DoNotOptimize(searchPlans(context, options).plans.size());
  }
}
BENCHMARK(replanning)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

/// Growth of the search with distinct work: the exponent is log2 of the ratio of neighbours.
void searching(benchmark::State& state, const Prepared& p, int64_t batch) {
  const PlanContext context(p.training, p.machines, p.cost,
                            usableMemory(p.machines.specs().front()));
  SearchOptions options;
  options.globalBatch = batch;
  SearchResult result;
  for (auto _ : state) result = searchPlans(context, options);
  state.counters["candidates"] = static_cast<double>(result.evaluated);
  state.counters["simulated"] = static_cast<double>(result.simulated);
}

void searchOverDevices(benchmark::State& state) {
  searching(state, Prepared(gpt(32), fmt::format("{}x8xH100-SXM", state.range(0) / 8)),
            state.range(0) * 4);
  state.SetComplexityN(state.range(0));
}
BENCHMARK(searchOverDevices)
    ->RangeMultiplier(8)
    ->Range(8, 32768)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->Complexity();

void searchOverLayers(benchmark::State& state) {
  searching(state, Prepared(gpt(state.range(0)), "8x8xH100-SXM"), 256);
  state.SetComplexityN(state.range(0));
}
BENCHMARK(searchOverLayers)
    ->RangeMultiplier(4)
    ->Range(8, 2048)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->Complexity();

void searchOverMicroBatches(benchmark::State& state) {
  searching(state, Prepared(gpt(32), "8x8xH100-SXM"), 64 * state.range(0));
  state.SetComplexityN(state.range(0));
}
BENCHMARK(searchOverMicroBatches)
    ->RangeMultiplier(4)
    ->Range(1, 256)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->Complexity();

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
