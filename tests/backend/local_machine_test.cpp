// SPDX-License-Identifier: Apache-2.0
#include "backend/local_machine.h"

#include <gtest/gtest.h>

#include "backend/recorded_training.h"
#include "core/cluster_json.h"
#include "core/import/load_model.h"
#include "planner/lowering.h"
#include "tests/backend/plan_runner.h"

namespace meshplan {
namespace {

TEST(LocalMachine, SharesItsCoresOut) {
  const LocalRanks one = localRanks(1), many = localRanks(64);
  EXPECT_EQ(one.threads, one.cores);
  EXPECT_EQ(one.atOnce(), 1);
  EXPECT_EQ(many.threads, std::max(1, many.cores / 64));
  EXPECT_LE(many.atOnce() * many.threads, many.cores);
  EXPECT_EQ(localEnvironment(one), localEnvironment(one));
  EXPECT_EQ(localEnvironment(many).fingerprint, localEnvironment(one).fingerprint);
}

TEST(LocalMachine, IsAClusterThatAFileKeeps) {
  const LocalRanks ranks = localRanks(3);
  const DeviceSpec device = measureLocalDevice(ranks);
  EXPECT_EQ(device.name, localEnvironment(ranks).device);
  EXPECT_GT(device.memoryBandwidth.value, 1e8);
  EXPECT_LT(device.memoryBandwidth.value, 1e13);
  EXPECT_GT(device.matrixPeak.at(DType::f32).value, device.matrixPeak.at(DType::f64).value / 2);

  LinkSpec link;
  link.name = "shared-memory";
  link.kind = LinkKind::memory;
  link.bandwidth = BytesPerSecond(5e9);
  link.latency = Seconds(1e-5);
  const Cluster cluster = localCluster(ranks, device, link);
  EXPECT_EQ(cluster.deviceCount(), 3u);
  EXPECT_EQ(cluster.nodeCount(), 1u);
  EXPECT_EQ(cluster.coresPerNode, ranks.cores);
  const std::string text = clusterToJson(cluster);
  const Cluster again = clusterFromJson(text, "local.json");
  EXPECT_EQ(again.coresPerNode, ranks.cores);
  EXPECT_EQ(clusterToJson(again), text);
}

TEST(RecordedTraining, KeepsTheStepsAfterTheWarmUp) {
  ModelRequest request;
  request.source = "mlp";
  TrainingOptions options;
  options.precision = Precision::fp32;
  const TrainingModel model = prepareTraining(loadModel(request), options);
  const Plan plan = planOf(model, 16, "dp=2", 2);
  const Program program = lower(model, plan, {}, LoweredFor::execution);
  TrainingSettings settings;
  settings.optimizer.kind = options.optimizer;
  const LocalRanks ranks = localRanks(2);
  const TrainingTask task{model.graph, program, model.referenceBatch, 16, {}};

  const auto backend = processorBackend(ranks);
  RecordedTraining r = recordTraining(task, settings, *backend, {2, 3, 4, 1000});
  EXPECT_EQ(r.seconds.size(), 4u);
  ASSERT_EQ(r.ranks.size(), 2u);
  for (int rank : {0, 1}) {
    EXPECT_EQ(r.ranks[size_t(rank)].rank, rank);
    EXPECT_EQ(r.ranks[size_t(rank)].steps.size(), 4u);
    for (const StepRecorder::Step& step : r.ranks[size_t(rank)].steps)
      for (size_t i = 1; i < step.size(); ++i) EXPECT_GE(step[i].start, step[i - 1].end);
  }
  // Time is up after the fewest steps.
  EXPECT_EQ(recordTraining(task, settings, *backend, {1, 3, 100, 0}).seconds.size(), 3u);
  // Whoever stops it keeps what there is.
  int asked = 0;
  r = recordTraining(task, settings, *backend, {2, 3, 100, 1000}, [&] { return ++asked == 4; });
  EXPECT_EQ(r.seconds.size(), 2u);
  EXPECT_EQ(r.ranks[1].steps.size(), 2u);
}

}  // namespace
}  // namespace meshplan
