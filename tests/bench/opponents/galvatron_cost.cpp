// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/galvatron_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace meshplan {
namespace {

using Sharding = GalvatronStrategy::Sharding;

constexpr double kMebi = 1024.0 * 1024.0;
constexpr double kFrameworkMemory = 1024;

double valueOf(const std::map<int64_t, double>& values, int64_t degree, const char* what) {
  const auto found = values.find(degree);
  if (found == values.end())
    throw Error(ErrorKind::input, fmt::format("the profile has no {} of degree {}", what, degree),
                "measure it or leave this degree out");
  return found->second;
}

int64_t roundedUp(double mebibytes) {
  return static_cast<int64_t>(std::ceil(mebibytes));
}

/// Communication that slows the compute beside it.
double overlapped(double communication, double compute, double slowDown) {
  const double slowed = compute * slowDown;
  return slowed > communication ? communication + (slowed - communication) / slowDown
                                : communication;
}

}  // namespace

GalvatronCost::GalvatronCost(const GalvatronProfile& profile, const GalvatronSetting& setting)
    : profile_(profile), setting_(setting) {}

int64_t GalvatronCost::samples(const GalvatronStrategy& s, int64_t microBatches) const {
  return setting_.batch / microBatches / s.data;
}

/// Of a layer's activations in 16 bits.
double GalvatronCost::messageMebibytes(int64_t samples) const {
  return static_cast<double>(samples * setting_.sequence * setting_.hidden * 2) / kMebi;
}

double GalvatronCost::reduceCost(const GalvatronStrategy& s) const {
  return valueOf(s.tensor == 1 ? profile_.reduceNear : profile_.reduceDistant, s.sharded(),
                 "all-reduce");
}

double GalvatronCost::withReduction(double backward, double mebibytes, double perMebibyte) const {
  const double slowed = perMebibyte * profile_.overlap;
  const double reduction = mebibytes * slowed, compute = backward * profile_.overlap;
  if (reduction > compute) return compute + (mebibytes - compute / slowed) * perMebibyte;
  return reduction + (backward - reduction / profile_.overlap);
}

double GalvatronCost::layerMilliseconds(const GalvatronStrategy& s, int64_t microBatches,
                                        bool reduce) const {
  const int64_t n = samples(s, microBatches);
  const auto devices = static_cast<double>(s.sharded());
  const double forward = profile_.layer.at(static_cast<double>(n) / static_cast<double>(s.inner()));
  const double backward = forward * (s.recompute ? 3 : 2);
  const double message =
      (devices - 1) * (profile_.layerParameters / static_cast<double>(s.tensor) / devices);
  double time = forward;
  time += s.data == 1 ? backward : withReduction(backward, reduce ? message : 0, reduceCost(s));
  if (s.inner() > 1) {
    const auto& table = s.tensor > 1 ? profile_.allGather : profile_.allToAll;
    const double count = (s.tensor > 1 ? 6 : 4) * (s.recompute ? 1.5 : 1);
    time += table.at(s.inner()).milliseconds(messageMebibytes(n)) * count;
  }
  if (s.sharding == Sharding::zero3) time += message * 0.5 * reduceCost(s);
  if (s.pipeline > 1)
    time += static_cast<double>(s.pipeline) * 2 * messageMebibytes(n) *
            valueOf(profile_.sendReceive, s.pipeline, "send and receive") /
            static_cast<double>(setting_.layers);
  return time;
}

GalvatronCost::Time GalvatronCost::layerTime(const GalvatronStrategy& s,
                                             int64_t microBatches) const {
  return {0.001 * layerMilliseconds(s, microBatches, true),
          0.001 * layerMilliseconds(s, microBatches, false)};
}

double GalvatronCost::shardedShare(const GalvatronStrategy& s, int64_t microBatches) const {
  const double part = 1 / static_cast<double>(s.sharded()) + 0.003;
  const double kept = microBatches == 1 ? 0 : 1.0 / 8;
  switch (s.sharding) {
    case Sharding::none:
      return 1;
    case Sharding::zero2:
      return (7.0 / 8 - kept) * part + (1.0 / 8 + kept);
    case Sharding::zero3:
      return (1 - kept) * part + kept;
  }
  return 1;
}

int64_t GalvatronCost::layerMemory(const GalvatronStrategy& s, int64_t microBatches,
                                   int64_t stage) const {
  const double states =
      4 * profile_.layerParameters / static_cast<double>(s.tensor) * shardedShare(s, microBatches);
  const auto held = static_cast<double>((s.pipeline - stage) * samples(s, microBatches));
  const double perSample = s.recompute
                               ? profile_.recomputedActivations / static_cast<double>(s.inner())
                               : valueOf(profile_.layerActivations, s.inner(), "activations");
  return roundedUp(states + perSample * held);
}

std::vector<double> GalvatronCost::embeddingTime(const GalvatronStrategy& s,
                                                 int64_t microBatches) const {
  const int64_t n = samples(s, microBatches);
  const auto devices = static_cast<double>(s.sharded());
  const double forward = profile_.other.at(static_cast<double>(n) / static_cast<double>(s.inner()));
  const double collective =
      s.tensor > 1 ? profile_.allGather.at(s.tensor).milliseconds(messageMebibytes(n)) : 0;
  const auto end = [&](const GalvatronProfile::Other& other, double share, double collectives) {
    const double gather = s.sharding != Sharding::zero3
                              ? 0
                              : valueOf(other.states, s.tensor, "states") / 4 * 0.5 *
                                    reduceCost(s) * (devices - 1) / devices * 0.5;
    return 0.001 *
           (overlapped(gather, forward * share, profile_.overlap) +
            overlapped(gather, forward * share * 2, profile_.overlap) + collectives * collective);
  };
  std::vector<double> times(static_cast<size_t>(s.pipeline));
  if (s.pipeline == 1) {
    times[0] = end(profile_.alone, 1, 2);
  } else {
    times.front() = end(profile_.first, 0.5, 1);
    times.back() = end(profile_.last, 0.5, 1);
  }
  return times;
}

std::vector<int64_t> GalvatronCost::embeddingMemory(const GalvatronStrategy& s,
                                                    int64_t microBatches) const {
  const auto n = static_cast<double>(samples(s, microBatches));
  const double share = shardedShare(s, microBatches);
  const auto end = [&](const GalvatronProfile::Other& other, double held) {
    return roundedUp(valueOf(other.states, s.tensor, "states") * share +
                     valueOf(other.activations, s.inner(), "activations") * held * n +
                     kFrameworkMemory);
  };
  std::vector<int64_t> memory(static_cast<size_t>(s.pipeline), roundedUp(kFrameworkMemory));
  if (s.pipeline == 1) {
    memory[0] = end(profile_.alone, 1);
  } else {
    memory.front() = end(profile_.first, static_cast<double>(s.pipeline));
    memory.back() = end(profile_.last, 1);
  }
  return memory;
}

int64_t GalvatronCost::bufferMemory(int64_t widest, int64_t pipeline, int64_t microBatches) const {
  if (widest == 0) return 0;
  const int64_t groups = setting_.devices() / pipeline / widest;
  const double samples = static_cast<double>(setting_.batch) / static_cast<double>(microBatches) /
                         static_cast<double>(groups);
  return static_cast<int64_t>(samples * static_cast<double>(setting_.hidden * setting_.sequence) *
                              2 / kMebi);
}

double GalvatronCost::reshardTime(int64_t wider, int64_t pipeline, int64_t microBatches) const {
  const auto degree = static_cast<double>(wider);
  const double samples = static_cast<double>(setting_.batch) / static_cast<double>(microBatches) /
                         static_cast<double>(setting_.devices() / pipeline / wider);
  const double bytes = samples * static_cast<double>(setting_.sequence * setting_.hidden * 2);
  return (degree - 1) / degree * bytes * valueOf(profile_.reduceNear, wider, "all-reduce") * 1e-7;
}

int64_t GalvatronCost::usableMemory() const {
  const int64_t memory = setting_.memoryGiB * 1024;
  return setting_.memoryGiB > 20 ? memory - static_cast<int64_t>(static_cast<double>(memory) * 0.2)
                                 : memory;
}

std::vector<int64_t> GalvatronCost::division(int64_t pipeline) const {
  std::vector<int64_t> layers(static_cast<size_t>(pipeline), setting_.layers / pipeline);
  layers.back() += setting_.layers % pipeline;
  return layers;
}

double GalvatronCost::stepTime(const std::vector<double>& synchronised,
                               const std::vector<double>& alone, int64_t microBatches) {
  const auto stages = static_cast<int64_t>(alone.size());
  const auto chunks = static_cast<double>(microBatches);
  double all = 0, exposed = 0;
  for (size_t i = 0; i < alone.size(); ++i) {
    all += alone[i];
    exposed = std::max(exposed, synchronised[i] - all);
  }
  const double lastBound = all + alone.back() * (chunks - 1);
  const double warmUp = static_cast<double>(std::min(stages - 1, microBatches - 1));
  const double firstBound =
      std::max(warmUp * alone.front(), all - alone.front()) +
      alone.front() * static_cast<double>(std::max<int64_t>(0, microBatches + 1 - stages));
  return std::max(lastBound, firstBound) + exposed;
}

void GalvatronCost::check(const GalvatronPlan& plan) const {
  const auto refuse = [](const std::string& problem) {
    throw Error(ErrorKind::input, problem, "check that the plan belongs to this setting");
  };
  if (static_cast<int64_t>(plan.layers.size()) != setting_.layers)
    refuse(fmt::format("{} layers instead of {}", plan.layers.size(), setting_.layers));
  if (plan.microBatches < plan.pipeline || setting_.batch % plan.microBatches != 0)
    refuse(fmt::format("{} micro-batches do not suit", plan.microBatches));
  std::vector<GalvatronStrategy> all = plan.layers;
  all.push_back(plan.embedding);
  for (const GalvatronStrategy& s : all) {
    if (s.pipeline != plan.pipeline ||
        s.pipeline * s.tensor * s.sequence * s.data != setting_.devices())
      refuse("a strategy does not use all devices");
    if (samples(s, plan.microBatches) < 1) refuse("more replicas than samples in a micro-batch");
  }
}

GalvatronCost::Step GalvatronCost::step(const GalvatronPlan& plan) const {
  check(plan);
  int64_t widest = plan.embedding.inner();
  bool tensor = plan.embedding.tensor > 1;
  for (const GalvatronStrategy& s : plan.layers) {
    widest = std::max(widest, s.inner());
    tensor = tensor || s.tensor > 1;
  }
  Step step;
  step.memory = embeddingMemory(plan.embedding, plan.microBatches);
  std::vector<double> alone = embeddingTime(plan.embedding, plan.microBatches);
  std::vector<double> synchronised(alone.size());
  const int64_t buffer = bufferMemory(tensor ? widest : 0, plan.pipeline, plan.microBatches);
  const std::vector<int64_t> division = this->division(plan.pipeline);
  size_t layer = 0;
  step.fits = true;
  std::vector<double> resharding(alone.size());
  for (size_t stage = 0; stage < alone.size(); ++stage) {
    step.memory[stage] += buffer;
    for (int64_t i = 0; i < division[stage]; ++i, ++layer) {
      const Time time = layerTime(plan.layers[layer], plan.microBatches);
      if (i > 0 && plan.layers[layer].inner() != plan.layers[layer - 1].inner())
        resharding[stage] +=
            reshardTime(std::max(plan.layers[layer].inner(), plan.layers[layer - 1].inner()),
                        plan.pipeline, plan.microBatches);
      synchronised[stage] += time.synchronised;
      alone[stage] += time.alone;
      step.memory[stage] +=
          layerMemory(plan.layers[layer], plan.microBatches, static_cast<int64_t>(stage));
    }
    step.fits = step.fits && step.memory[stage] <= usableMemory();
  }
  step.reported = stepTime(synchronised, alone, plan.microBatches);
  for (size_t stage = 0; stage < alone.size(); ++stage) {
    alone[stage] += resharding[stage];
    synchronised[stage] += resharding[stage];
  }
  step.time = stepTime(synchronised, alone, plan.microBatches);
  return step;
}

}  // namespace meshplan
