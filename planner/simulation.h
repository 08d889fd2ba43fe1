// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inside of the simulator: only simulator.cpp and simulation_rates.cpp include this.

#include <array>
#include <bit>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "planner/activity.h"
#include "planner/event_queue.h"
#include "planner/link_sharing.h"
#include "planner/memory_meter.h"
#include "planner/simulator.h"

namespace meshplan {

struct SlotId {
  uint32_t rankClass = UINT32_MAX, stream = 0;
  bool operator==(const SlotId&) const = default;
};

// A stream's queue and what it does now. The activity of a transfer or of a joint collective is led
// by one of its slots, the others follow.
struct StreamState {
  enum class State : uint8_t { done, blocked, unissued, posted, leading, following };
  State state = State::done;
  bool memoryHeld = false;  // of instruction `memoryNext`: has allocated and not freed
  uint8_t needStream = 0;   // blocked until `needCount` activities have ended there
  uint32_t needCount = 0;
  uint32_t call = 0, next = 0;  // the head of the queue: a call and an activity in it
  uint32_t ended = 0;           // activities
  // Leading: the segment in progress, with `left` seconds of work at time `since`.
  uint32_t segment = 0;
  uint32_t memoryNext = 0;  // memory changes of earlier instructions of the activity have been made
  uint32_t mark = 0, flow = 0;  // of the last sharing it took part in
  SlotId leader, follower;      // the leader itself when leading; the receiver of a transfer
  const ActivityList* list = nullptr;
  const Activity* head = nullptr;
  double start = 0, left = 0, since = 0, rate = 0;  // unissued: since when
};

struct ClassState {
  std::array<StreamState, kStreams> streams;
  ClassActivities activities;
  // Per call: activities of earlier calls, and of these the compute ones up to the last collective
  // merged from a stream.
  std::vector<std::array<uint32_t, kStreams>> endedBefore, mergedBefore;
  std::vector<double> hostStart;  // when the host begins with a call; those known so far
  double hostWait = 0;            // seconds for which only the host held up the compute stream
  uint8_t running = 0;            // streams that lead or follow
  uint8_t memory = 0;             // of these, those with memory changes to come
  // The only running stream, -1: several or none. Its segments run through at full speed, without
  // an event each.
  int8_t solo = -1;
  bool dirty = false;
  bool computing = false, communicating = false;
  bool crowded = false;               // a link is asked for more than it has
  std::optional<TimeCategory> doing;  // unless solo
  double time = 0;                    // up to which the seconds are filled in
  std::array<double, kTimeCategories> seconds{};
  double communication = 0;
  uint32_t mark = 0;  // of the last sharing it took part in
  std::optional<MemoryMeter> meter;
};

struct JointGroup {
  std::vector<uint32_t> members;  // rank classes
  std::vector<SlotId> arrived;
};

/// Boundary, direction, micro-batch and the receiving stage.
using Message = std::tuple<int32_t, bool, int32_t, int32_t>;

template <class F>
void eachBit(uint8_t bits, F f) {
  for (; bits; bits &= uint8_t(bits - 1)) f(uint32_t(std::countr_zero(bits)));
}

class Simulation {
 public:
  Simulation(const Program& program, const InstructionTimes& times,
             const SimulationOptions& options);
  Timeline run();

 private:
  using State = StreamState::State;

  void prepare(uint32_t c, bool contract);
  void findHead(uint32_t c, uint32_t s);
  StreamState& at(SlotId id) { return classes_[id.rankClass].streams[id.stream]; }
  const Segment& segmentOf(const StreamState& st) const {
    return st.list->segments[st.head->firstSegment + st.segment];
  }
  bool communicates(const StreamState& st) const {
    return st.state == State::following || segmentOf(st).category == TimeCategory::communication;
  }
  template <class F>
  void eachParticipant(SlotId leader, F f);

  // Starting and ending.
  void tryStart(uint32_t c, uint32_t s);
  void start(SlotId id);
  double issueTime(ClassState& cls, const StreamState& st);
  void post(SlotId id);
  bool matches(SlotId a, SlotId b);
  void arrive(SlotId id);
  void deliver(SlotId sender);
  bool isDelivered(SlotId receiver);
  void occupy(SlotId id, SlotId leader);
  void step();
  void finish(SlotId leader);
  void end(SlotId id);
  void wake(SlotId id);

  // Time and rates.
  void touch(ClassState& cls);
  void add(ClassState& cls, TimeCategory category, double seconds);
  void progressSolo(ClassState& cls);
  void endSolo(ClassState& cls);
  void markDirty(uint32_t c);
  void refreshDirty();
  void refresh(uint32_t c);
  void makeSolo(uint32_t c, uint32_t s);
  void refreshShared(uint32_t c);
  double sharedRate(uint32_t c, bool communicates) const;
  void describe(ClassState& cls);
  void setRate(SlotId id, double rate);
  double limitOf(SlotId leader);
  void rateCommunication(uint32_t c);
  template <class F>
  void eachLinkUse(uint32_t c, F f);
  bool isCrowded(uint32_t c);
  void share(uint32_t c);
  void collectFlows(uint32_t c);

  // Memory.
  void settleMemory(uint32_t c, uint32_t except);
  void settleMemory(ClassState& cls, StreamState& st, double position, bool ended);
  void endMemory(uint32_t c, uint32_t s);

  Timeline report();
  [[noreturn]] void reportDeadlock();

  const Program& program_;
  const InstructionTimes& times_;
  SimulationOptions options_;
  double computeRate_, collectiveRate_;  // beside each other
  double now_ = 0, lastEnd_ = 0;
  std::vector<ClassState> classes_;
  EventQueue queue_;
  std::vector<uint32_t> dirty_;
  std::map<int32_t, uint32_t> classOfStage_;
  std::map<int32_t, JointGroup> joints_;  // by boundary
  std::vector<SlotId> finished_;
  std::set<Message> messages_;  // sent and not received; only where ranks are serial
  std::vector<Span> spans_;
  uint64_t events_ = 0;

  LinkSharing sharing_;
  uint32_t mark_ = 0;
  std::vector<uint32_t> component_;
  std::vector<SlotId> flows_;
  std::vector<LinkUse> uses_;
  std::vector<double> limits_, rates_;
};

template <class F>
void Simulation::eachParticipant(SlotId leader, F f) {
  const Activity& a = *at(leader).head;
  if (a.kind == Activity::Kind::joint) {
    for (SlotId id : joints_.at(a.boundary).arrived) f(id);
    return;
  }
  f(leader);
  if (a.kind == Activity::Kind::send && !times_.serial) f(at(leader).follower);
}

}  // namespace meshplan
