// SPDX-License-Identifier: Apache-2.0
#include "backend/gather_steps.h"

#include <array>
#include <cmath>
#include <string>
#include <type_traits>

#include "backend/host_id.h"

namespace meshplan {
namespace {

using Clock = StepRecorder::Clock;
using Interval = StepRecorder::Interval;

static_assert(std::is_trivially_copyable_v<Interval>);

// A container may have a clock of its own that only looks like its host's.
constexpr double kSameClockSeconds = 1;

struct Moment {
  std::array<char, 40> boot{};
  int64_t nanoseconds = 0;
};

std::array<char, 40> bootId() {
  std::array<char, 40> id{};
  hostId().copy(id.data(), id.size() - 1);
  return id;
}

int64_t totalIntervals(const RankSteps& steps) {
  int64_t count = 0;
  for (const StepRecorder::Step& s : steps.steps) count += static_cast<int64_t>(s.size());
  return count;
}

void sendSteps(Communicator& world, const RankSteps& mine) {
  const auto steps = static_cast<int64_t>(mine.steps.size());
  const int64_t header[] = {steps, steps > 0 ? totalIntervals(mine) / steps : 0};
  world.send(header, sizeof header, 0);
  for (const StepRecorder::Step& s : mine.steps)
    world.send(s.data(), static_cast<int64_t>(s.size() * sizeof(Interval)), 0);
}

RankSteps receiveSteps(Communicator& world, int from) {
  int64_t header[2] = {};
  world.receive(header, sizeof header, from);
  RankSteps steps;
  steps.rank = from;
  for (int64_t s = 0; s < header[0]; ++s) {
    StepRecorder::Step& step = steps.steps.emplace_back(static_cast<size_t>(header[1]));
    world.receive(step.data(), static_cast<int64_t>(step.size() * sizeof(Interval)), from);
  }
  return steps;
}

}  // namespace

Clock::time_point commonEpoch(Communicator& world) {
  world.barrier();
  const auto own = Clock::now();
  Moment moment{bootId(), std::chrono::nanoseconds(own.time_since_epoch()).count()};
  const auto boot = moment.boot;
  world.broadcast(&moment, sizeof moment, 0);
  const Clock::time_point first{std::chrono::nanoseconds(moment.nanoseconds)};
  const double apart = std::abs(std::chrono::duration<double>(own - first).count());
  return boot[0] != 0 && moment.boot == boot && apart < kSameClockSeconds ? first : own;
}

std::vector<RankSteps> gatherSteps(Communicator& world, RankSteps mine) {
  mine.rank = world.rank();
  if (world.rank() != 0) {
    sendSteps(world, mine);
    return {};
  }
  std::vector<RankSteps> all;
  all.push_back(std::move(mine));
  for (int rank = 1; rank < world.size(); ++rank) all.push_back(receiveSteps(world, rank));
  return all;
}

}  // namespace meshplan
