// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/program.h"
#include "planner/simulator.h"

namespace meshplan {

/// A routine as the simulator runs it: instructions that nothing can come between are contracted
/// into one activity, and what an instruction waits for is a number of ended activities per stream
/// (streams are in order, so "instruction i has ended" is "so many have ended on its stream").
///
/// Contraction keeps every start time. A collective that starts when the instruction before it in
/// issue order on the compute stream ends, and that the next one there waits for, might as well be
/// on the compute stream: such streams are merged into it. Then neighbours on a stream join when
/// the later one waits for nothing new and nothing outside waits for the earlier one alone.
enum class TimeCategory : uint8_t { compute, recompute, optimizer, communication };
inline constexpr int kTimeCategories = 4;

/// A stretch of an activity in which nothing changes but progress.
struct Segment {
  double end = 0;  // seconds of work from the activity's start
  TimeCategory category = TimeCategory::compute;
  LinkDemand demand;
};

/// `count` activities of this call on `stream`, and all of earlier calls, must have ended. Stream
/// kStreams + s: all collectives of stream s that earlier calls have merged into their compute
/// stream (and what is before them there).
struct Requirement {
  uint8_t stream = 0;
  uint32_t count = 0;
};

/// What an activity does to memory when nothing else changes memory meanwhile.
struct MemoryEffect {
  std::array<int64_t, kMemoryCategories> net{},
      atPeak{};               // bytes by category, relative to its start
  int64_t peak = 0;           // the sum of atPeak
  uint32_t peakPosition = 0;  // into ActivityList::order
};

struct Activity {
  /// joint: a collective that several rank classes take part in.
  enum class Kind : uint8_t { local, send, receive, joint };
  Kind kind = Kind::local;
  bool changesMemory = false;
  bool hostWaits = false;  // the host issues it after what it waits for has ended
  bool backwardDirection = false;
  uint32_t firstRequirement = 0, requirements = 0;
  uint32_t firstSegment = 0, segments = 0;
  uint32_t first = 0, count = 0;  // instructions, into ActivityList::order
  uint32_t memory = 0;            // into ActivityList::memory, if changesMemory
  double work = 0;                // seconds alone on the machine
  /// Seconds after the host began with the call: before `hostBefore` it issues what comes earlier;
  /// an activity that starts before `hostLead` would outrun the host at one of its instructions.
  double hostBefore = 0, hostLead = 0;
  int32_t boundary = -1, peerStage = -1;
  std::array<double, kTimeCategories> seconds{};  // work by category
};

struct ActivityList {
  const Routine* routine = nullptr;
  std::vector<Activity> activities;                  // by stream, in order
  std::array<uint32_t, kStreams + 1> streamStart{};  // into activities
  std::array<uint32_t, kStreams>
      mergedUpTo{};  // compute activities up to the last merged collective of a stream
  std::vector<Requirement> requirements;
  std::vector<Segment> segments;
  std::vector<MemoryEffect> memory;
  std::vector<uint32_t> order;  // instructions in activity order
  double host = 0;              // seconds that the host takes for the whole call
  std::vector<double>
      workBefore;  // per entry of order: seconds of work from the activity's start to its start

  uint32_t onStream(size_t s) const { return streamStart[s + 1] - streamStart[s]; }
};

struct ClassActivities {
  std::vector<ActivityList> lists;   // one per distinct routine
  std::vector<uint32_t> listOfCall;  // into lists, as RankClass::calls
};

/// The activities of the routines that a rank class calls.
/// Without `contract` there is one activity per instruction, on its own stream.
/// Throws Error(internal) for a time that is negative or not finite.
ClassActivities activitiesOf(const Program& program, const RankClass& rankClass,
                             const InstructionTimes& times, bool contract);

}  // namespace meshplan
