// SPDX-License-Identifier: Apache-2.0
#include "planner/simulator.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>

#include "core/error.h"
#include "planner/activity.h"
#include "planner/event_queue.h"
#include "planner/link_sharing.h"
#include "planner/memory_meter.h"

namespace meshplan {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

struct SlotId {
  uint32_t rankClass = kNone, stream = 0;
  bool operator==(const SlotId&) const = default;
};

// A stream's queue and what it does now. The activity of a transfer or of a joint collective is led
// by one of its slots, the others follow.
struct StreamState {
  enum class State : uint8_t { done, blocked, posted, leading, following };
  State state = State::done;
  bool memoryHeld = false;  // of instruction `memoryNext`: has allocated and not freed
  uint8_t needStream = 0;   // blocked until `needCount` activities have ended there
  uint32_t needCount = 0;
  uint32_t call = 0, next = 0;  // the head of the queue: a call and an activity in it
  uint32_t ended = 0;           // activities
  uint32_t segment =
      0;  // leading: the one in progress, with `left` seconds of work at time `since`
  uint32_t memoryNext = 0;  // memory changes of earlier instructions of the activity have been made
  uint32_t mark = 0, flow = 0;  // of the last sharing it took part in
  SlotId leader, follower;      // the leader itself when leading; the receiver of a transfer
  const ActivityList* list = nullptr;
  const Activity* head = nullptr;
  double start = 0, left = 0, since = 0, rate = 0;
};

struct ClassState {
  std::array<StreamState, kStreams> streams;
  ClassActivities activities;
  std::vector<std::array<uint32_t, kStreams>> endedBefore;  // per call: activities of earlier calls
  std::vector<std::array<uint32_t, kStreams>>
      mergedBefore;     // of these, compute ones up to the last merged of a stream
  uint8_t running = 0;  // streams that lead or follow
  uint8_t memory = 0;   // of these, those with memory changes to come
  int8_t solo =
      -1;  // the only running stream: its segments run through at full speed, without an event each
  bool dirty = false;
  bool computing = false, communicating = false;
  bool crowded = false;               // a link is asked for more than it has
  std::optional<TimeCategory> doing;  // unless solo
  double time = 0;                    // up to which the seconds are filled in
  std::array<double, kTimeCategories> seconds{};
  double communication = 0;
  uint32_t mark = 0, place = 0;  // of the last sharing it took part in
  std::optional<MemoryMeter> meter;
};

struct JointGroup {
  std::vector<uint32_t> members;  // rank classes
  std::vector<SlotId> arrived;
};

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
  void post(SlotId id);
  bool matches(SlotId a, SlotId b);
  void arrive(SlotId id);
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
  std::vector<Span> spans_;
  uint64_t events_ = 0;

  LinkSharing sharing_;
  uint32_t mark_ = 0;
  std::vector<uint32_t> component_;
  std::vector<SlotId> flows_;
  std::vector<LinkUse> uses_;
  std::vector<double> limits_, rates_;
};

Simulation::Simulation(const Program& program, const InstructionTimes& times,
                       const SimulationOptions& options)
    : program_(program),
      times_(times),
      options_(options),
      computeRate_(1 / times.computeSlowdown),
      collectiveRate_(1 / times.collectiveSlowdown),
      classes_(program.rankClasses.size()),
      queue_(program.rankClasses.size()) {
  if (!(times.computeSlowdown >= 1 && times.collectiveSlowdown >= 1))
    throw Error(ErrorKind::internal, "a slowdown is below 1").at("simulation");
  const bool contract = !options.recordSpans && !options.recordMemory;
  for (uint32_t c = 0; c < classes_.size(); ++c) prepare(c, contract);
  if (options.recordSpans) spans_.reserve(events_);
}

void Simulation::prepare(uint32_t c, bool contract) {
  const RankClass& rankClass = program_.rankClasses[c];
  ClassState& cls = classes_[c];
  cls.activities = activitiesOf(program_, rankClass, times_, contract);
  cls.meter.emplace(rankClass, options_.recordMemory);
  cls.endedBefore.reserve(rankClass.calls.size());
  cls.mergedBefore.reserve(rankClass.calls.size());
  std::array<uint32_t, kStreams> ended{}, merged{};
  for (uint32_t index : cls.activities.listOfCall) {
    const ActivityList& list = cls.activities.lists[index];
    cls.endedBefore.push_back(ended);
    cls.mergedBefore.push_back(merged);
    for (size_t s = 0; s < kStreams; ++s)
      if (list.mergedUpTo[s] > 0) merged[s] = ended[size_t(Stream::compute)] + list.mergedUpTo[s];
    for (size_t s = 0; s < kStreams; ++s) ended[s] += list.onStream(s);
    events_ += list.routine->instructions.size();
  }
  for (const ActivityList& list : cls.activities.lists)
    for (const Activity& a : list.activities) {
      if (a.kind != Activity::Kind::joint) continue;
      std::vector<uint32_t>& members = joints_[a.boundary].members;
      if (members.empty() || members.back() != c) members.push_back(c);
    }
  for (uint32_t s = 0; s < kStreams; ++s) findHead(c, s);
  classOfStage_[rankClass.stage] = c;
}

void Simulation::findHead(uint32_t c, uint32_t s) {
  ClassState& cls = classes_[c];
  StreamState& st = cls.streams[s];
  for (; st.call < cls.activities.listOfCall.size(); ++st.call, st.next = 0) {
    st.list = &cls.activities.lists[cls.activities.listOfCall[st.call]];
    if (st.next >= st.list->onStream(s)) continue;
    st.head = &st.list->activities[st.list->streamStart[s] + st.next];
    st.state = State::blocked;
    return;
  }
  st.head = nullptr;
  st.state = State::done;
}

template <class F>
void Simulation::eachParticipant(SlotId leader, F f) {
  const Activity& a = *at(leader).head;
  if (a.kind == Activity::Kind::joint) {
    for (SlotId id : joints_.at(a.boundary).arrived) f(id);
    return;
  }
  f(leader);
  if (a.kind == Activity::Kind::send) f(at(leader).follower);
}

void Simulation::tryStart(uint32_t c, uint32_t s) {
  ClassState& cls = classes_[c];
  StreamState& st = cls.streams[s];
  if (!st.head) return;
  for (uint32_t r = 0; r < st.head->requirements; ++r) {
    const Requirement& need = st.list->requirements[st.head->firstRequirement + r];
    const bool merged = need.stream >= kStreams;
    const uint8_t stream = merged ? uint8_t(Stream::compute) : need.stream;
    const uint32_t count = merged ? cls.mergedBefore[st.call][need.stream - kStreams]
                                  : cls.endedBefore[st.call][stream] + need.count;
    if (cls.streams[stream].ended >= count) continue;
    st.state = State::blocked;
    st.needStream = stream;
    st.needCount = count;
    return;
  }
  switch (st.head->kind) {
    case Activity::Kind::local:
      return occupy({c, s}, {c, s});
    case Activity::Kind::joint:
      return arrive({c, s});
    case Activity::Kind::send:
    case Activity::Kind::receive:
      return post({c, s});
  }
}

bool Simulation::matches(SlotId a, SlotId b) {
  const StreamState &x = at(a), &y = at(b);
  const auto microBatch = [&](SlotId id) {
    return program_.rankClasses[id.rankClass].calls[at(id).call].microBatch;
  };
  const Activity::Kind wanted =
      x.head->kind == Activity::Kind::send ? Activity::Kind::receive : Activity::Kind::send;
  return y.state == State::posted && y.head->kind == wanted &&
         x.head->boundary == y.head->boundary &&
         x.head->backwardDirection == y.head->backwardDirection && microBatch(a) == microBatch(b);
}

void Simulation::post(SlotId id) {
  StreamState& st = at(id);
  st.state = State::posted;
  const auto peer = classOfStage_.find(st.head->peerStage);
  if (peer == classOfStage_.end()) return;
  for (uint32_t s = 0; s < kStreams; ++s) {
    const SlotId other{peer->second, s};
    if (other == id || !matches(id, other)) continue;
    const bool sends = st.head->kind == Activity::Kind::send;
    const SlotId sender = sends ? id : other, receiver = sends ? other : id;
    at(sender).follower = receiver;
    occupy(sender, sender);
    occupy(receiver, sender);
    return;
  }
}

void Simulation::arrive(SlotId id) {
  JointGroup& group = joints_.at(at(id).head->boundary);
  at(id).state = State::posted;
  group.arrived.push_back(id);
  if (group.arrived.size() < group.members.size()) return;
  const SlotId leader =
      *std::max_element(group.arrived.begin(), group.arrived.end(),
                        [&](SlotId a, SlotId b) { return at(a).head->work < at(b).head->work; });
  for (SlotId member : group.arrived) occupy(member, leader);
}

void Simulation::occupy(SlotId id, SlotId leader) {
  ClassState& cls = classes_[id.rankClass];
  touch(cls);
  StreamState& st = at(id);
  st.state = id == leader ? State::leading : State::following;
  st.leader = leader;
  st.start = st.since = now_;
  st.segment = st.memoryNext = 0;
  st.memoryHeld = false;
  st.left = segmentOf(st).end;
  st.rate = 0;
  cls.running |= uint8_t(1u << id.stream);
  if (st.head->changesMemory) {
    const bool alone = cls.memory == 0;
    settleMemory(id.rankClass, id.stream);
    cls.memory |= uint8_t(1u << id.stream);
    if (!alone) settleMemory(cls, st, 0, false);
  }
  markDirty(id.rankClass);
}

void Simulation::step() {
  now_ = queue_.time();
  const EventQueue::Slot slot = queue_.first();
  const SlotId id{uint32_t(slot.group), uint32_t(slot.slot)};
  ClassState& cls = classes_[id.rankClass];
  StreamState& st = at(id);
  if (cls.solo == int8_t(id.stream)) {
    endSolo(cls);
  } else if (st.segment + 1 < st.head->segments) {
    touch(cls);
    const double before = segmentOf(st).end;
    ++st.segment;
    st.left = segmentOf(st).end - before;
    st.rate = 0;
    st.since = now_;
    markDirty(id.rankClass);
    return;
  }
  finish(id);
}

void Simulation::finish(SlotId leader) {
  queue_.set(leader.rankClass, leader.stream, EventQueue::kNever);
  finished_.clear();
  eachParticipant(leader, [&](SlotId id) { finished_.push_back(id); });
  if (const Activity& a = *at(leader).head; a.kind == Activity::Kind::joint)
    joints_.at(a.boundary).arrived.clear();
  lastEnd_ = now_;
  for (SlotId id : finished_) end(id);
  for (SlotId id : finished_) wake(id);
}

void Simulation::end(SlotId id) {
  ClassState& cls = classes_[id.rankClass];
  touch(cls);
  StreamState& st = at(id);
  if (st.head->changesMemory) endMemory(id.rankClass, id.stream);
  if (options_.recordSpans) {
    const uint32_t i = st.list->order[st.head->first];
    const Instruction& in = st.list->routine->instructions[i];
    spans_.push_back(
        {uint16_t(id.rankClass), in.stream, in.kind, st.call, i, Seconds(st.start), Seconds(now_)});
  }
  cls.running &= uint8_t(~(1u << id.stream));
  ++st.ended;
  ++st.next;
  findHead(id.rankClass, id.stream);
  markDirty(id.rankClass);
}

void Simulation::wake(SlotId id) {
  ClassState& cls = classes_[id.rankClass];
  const uint32_t ended = cls.streams[id.stream].ended;
  for (uint32_t s = 0; s < kStreams; ++s) {
    const StreamState& st = cls.streams[s];
    if (s != id.stream && st.state == State::blocked && st.needStream == id.stream &&
        ended >= st.needCount)
      tryStart(id.rankClass, s);
  }
  if (cls.streams[id.stream].state == State::blocked) tryStart(id.rankClass, id.stream);
}

void Simulation::add(ClassState& cls, TimeCategory category, double seconds) {
  cls.seconds[size_t(category)] += seconds;
  if (category == TimeCategory::communication) cls.communication += seconds;
}

// Fills in the class's seconds up to now, before anything about it changes.
void Simulation::touch(ClassState& cls) {
  if (cls.time == now_) return;
  if (cls.solo >= 0) {
    progressSolo(cls);
  } else {
    const double seconds = now_ - cls.time;
    if (cls.doing) cls.seconds[size_t(*cls.doing)] += seconds;
    if (cls.communicating) cls.communication += seconds;
  }
  cls.time = now_;
}

void Simulation::progressSolo(ClassState& cls) {
  StreamState& st = cls.streams[size_t(cls.solo)];
  double elapsed = now_ - st.since;
  while (elapsed >= st.left && st.segment + 1 < st.head->segments) {
    add(cls, segmentOf(st).category, st.left);
    elapsed -= st.left;
    const double before = segmentOf(st).end;
    ++st.segment;
    st.left = segmentOf(st).end - before;
  }
  elapsed = std::min(elapsed, st.left);
  add(cls, segmentOf(st).category, elapsed);
  st.left -= elapsed;
  st.since = now_;
}

void Simulation::endSolo(ClassState& cls) {
  StreamState& st = cls.streams[size_t(cls.solo)];
  if (st.segment == 0 && st.left == segmentOf(st).end) {
    for (size_t k = 0; k < kTimeCategories; ++k) cls.seconds[k] += st.head->seconds[k];
    cls.communication += st.head->seconds[size_t(TimeCategory::communication)];
  } else {
    for (;; ++st.segment) {
      add(cls, segmentOf(st).category, st.left);
      if (st.segment + 1 == st.head->segments) break;
      st.left = st.list->segments[st.head->firstSegment + st.segment + 1].end - segmentOf(st).end;
    }
  }
  cls.solo = -1;
  cls.time = now_;
}

void Simulation::markDirty(uint32_t c) {
  if (classes_[c].dirty) return;
  classes_[c].dirty = true;
  dirty_.push_back(c);
}

void Simulation::refreshDirty() {
  for (uint32_t c : dirty_) describe(classes_[c]);
  for (uint32_t c : dirty_) refresh(c);
  dirty_.clear();
}

// What the class does from now on, for the rates of all that runs on it.
void Simulation::describe(ClassState& cls) {
  cls.dirty = false;
  cls.computing = cls.communicating = false;
  cls.doing.reset();
  eachBit(cls.running, [&](uint32_t s) {
    const StreamState& st = cls.streams[s];
    if (communicates(st)) {
      cls.communicating = true;
    } else if (!cls.computing) {
      cls.computing = true;
      cls.doing = segmentOf(st).category;
    }
  });
  if (cls.communicating && !cls.computing) cls.doing = TimeCategory::communication;
}

void Simulation::refresh(uint32_t c) {
  ClassState& cls = classes_[c];
  if (std::has_single_bit(cls.running)) {
    const uint32_t s = uint32_t(std::countr_zero(cls.running));
    if (cls.streams[s].head->kind == Activity::Kind::local) return makeSolo(c, s);
  }
  if (cls.solo >= 0) {
    cls.streams[size_t(cls.solo)].rate = 0;
    cls.solo = -1;
  }
  eachBit(cls.running, [&](uint32_t s) {
    if (!communicates(cls.streams[s])) setRate({c, s}, cls.communicating ? computeRate_ : 1);
  });
  rateCommunication(c);
}

void Simulation::makeSolo(uint32_t c, uint32_t s) {
  ClassState& cls = classes_[c];
  StreamState& st = cls.streams[s];
  cls.crowded = false;
  if (cls.solo == int8_t(s)) return;
  st.left = std::max(0.0, st.left - (now_ - st.since) * st.rate);
  st.since = now_;
  st.rate = 1;
  cls.solo = int8_t(s);
  queue_.set(c, s, now_ + (st.left + (st.head->work - segmentOf(st).end)));
}

void Simulation::setRate(SlotId id, double rate) {
  StreamState& st = at(id);
  if (st.rate == rate) return;
  st.left = std::max(0.0, st.left - (now_ - st.since) * st.rate);
  st.since = now_;
  st.rate = rate;
  queue_.set(id.rankClass, id.stream, now_ + st.left / rate);
}

double Simulation::limitOf(SlotId leader) {
  if (at(leader).head->kind == Activity::Kind::send) return 1;
  bool beside = false;
  eachParticipant(leader, [&](SlotId id) { beside |= classes_[id.rankClass].computing; });
  return beside ? collectiveRate_ : 1;
}

// Flows of a class that asks no link for more than it has run at their limit, unless another class
// holds them up.
void Simulation::rateCommunication(uint32_t c) {
  ClassState& cls = classes_[c];
  bool crowded = false;
  if (!times_.demands.empty()) {
    cls.crowded = isCrowded(c);
    eachBit(cls.running, [&](uint32_t s) {
      if (communicates(cls.streams[s]))
        eachParticipant(cls.streams[s].leader,
                        [&](SlotId id) { crowded |= classes_[id.rankClass].crowded; });
    });
  }
  if (crowded) return share(c);
  eachBit(cls.running, [&](uint32_t s) {
    if (communicates(cls.streams[s]))
      setRate(cls.streams[s].leader, limitOf(cls.streams[s].leader));
  });
}

// Calls f(leader, link, demand); links: fabric and network, each outwards and inwards.
template <class F>
void Simulation::eachLinkUse(uint32_t c, F f) {
  ClassState& cls = classes_[c];
  eachBit(cls.running, [&](uint32_t s) {
    const StreamState& st = cls.streams[s];
    if (!communicates(st)) return;
    const LinkDemand demand = segmentOf(at(st.leader)).demand;
    const bool out = st.head->kind != Activity::Kind::receive;
    const bool in = st.head->kind != Activity::Kind::send;
    if (out && demand.fabric > 0) f(st.leader, 0u, demand.fabric);
    if (in && demand.fabric > 0) f(st.leader, 1u, demand.fabric);
    if (out && demand.network > 0) f(st.leader, 2u, demand.network);
    if (in && demand.network > 0) f(st.leader, 3u, demand.network);
  });
}

bool Simulation::isCrowded(uint32_t c) {
  std::array<double, 4> asked{};
  eachLinkUse(c, [&](SlotId, uint32_t link, double demand) { asked[link] += demand; });
  return *std::max_element(asked.begin(), asked.end()) > 1 + 1e-6;
}

// Solves the rates of all flows that depend on each other through crowded classes, starting from
// those of class c.
void Simulation::share(uint32_t c) {
  ++mark_;
  component_.clear();
  flows_.clear();
  uses_.clear();
  collectFlows(c);
  for (size_t i = 0; i < component_.size(); ++i) collectFlows(component_[i]);
  for (uint32_t place = 0; place < component_.size(); ++place)
    eachLinkUse(component_[place], [&](SlotId leader, uint32_t link, double demand) {
      uses_.push_back({at(leader).flow, place * 4 + link, demand});
    });
  limits_.clear();
  for (SlotId leader : flows_) limits_.push_back(limitOf(leader));
  rates_.resize(flows_.size());
  sharing_.share(uses_, limits_, component_.size() * 4, rates_);
  for (size_t i = 0; i < flows_.size(); ++i) setRate(flows_[i], rates_[i]);
}

void Simulation::collectFlows(uint32_t c) {
  ClassState& cls = classes_[c];
  eachBit(cls.running, [&](uint32_t s) {
    if (!communicates(cls.streams[s])) return;
    StreamState& leader = at(cls.streams[s].leader);
    if (leader.mark == mark_) return;
    leader.mark = mark_;
    leader.flow = uint32_t(flows_.size());
    flows_.push_back(cls.streams[s].leader);
    eachParticipant(cls.streams[s].leader, [&](SlotId id) {
      ClassState& other = classes_[id.rankClass];
      if (!other.crowded || other.mark == mark_) return;
      other.mark = mark_;
      component_.push_back(id.rankClass);
    });
  });
}

// Makes the memory changes of all running activities up to now, before another activity makes its
// own.
void Simulation::settleMemory(uint32_t c, uint32_t except) {
  ClassState& cls = classes_[c];
  eachBit(cls.memory, [&](uint32_t s) {
    StreamState& st = cls.streams[s];
    if (s == except) return;
    const bool leads = st.state == State::leading;
    const double left = std::max(0.0, st.left - (now_ - st.since) * st.rate);
    settleMemory(cls, st, leads ? segmentOf(st).end - left : 0, false);
  });
}

void Simulation::settleMemory(ClassState& cls, StreamState& st, double position, bool ended) {
  for (; st.memoryNext < st.head->count; ++st.memoryNext) {
    const uint32_t k = st.head->first + st.memoryNext;
    const bool last = st.memoryNext + 1 == st.head->count;
    const Routine& routine = *st.list->routine;
    const Instruction& in = routine.instructions[st.list->order[k]];
    if (!st.memoryHeld) {
      if (!ended && st.list->workBefore[k] > position) return;
      cls.meter->allocate(routine, in.allocates, std::min(now_, st.start + st.list->workBefore[k]),
                          {st.call, st.list->order[k]});
      st.memoryHeld = true;
    }
    if (!ended && (last || st.list->workBefore[k + 1] > position)) return;
    cls.meter->free(routine, in.frees,
                    last ? now_ : std::min(now_, st.start + st.list->workBefore[k + 1]));
    st.memoryHeld = false;
  }
}

void Simulation::endMemory(uint32_t c, uint32_t s) {
  ClassState& cls = classes_[c];
  StreamState& st = cls.streams[s];
  settleMemory(c, s);
  cls.memory &= uint8_t(~(1u << s));
  const bool whole = st.memoryNext == 0 && !st.memoryHeld && !options_.recordMemory;
  if (!whole) return settleMemory(cls, st, st.head->work, true);
  const MemoryEffect& effect = st.list->memory[st.head->memory];
  cls.meter->apply(effect, std::min(now_, st.start + st.list->workBefore[effect.peakPosition]),
                   {st.call, st.list->order[effect.peakPosition]});
}

Timeline Simulation::run() {
  for (uint32_t c = 0; c < classes_.size(); ++c)
    for (uint32_t s = 0; s < kStreams; ++s)
      if (classes_[c].streams[s].state == State::blocked) tryStart(c, s);
  refreshDirty();
  while (queue_.time() != EventQueue::kNever) {
    step();
    refreshDirty();
  }
  for (const ClassState& cls : classes_)
    for (const StreamState& st : cls.streams)
      if (st.state != State::done) reportDeadlock();
  return report();
}

Timeline Simulation::report() {
  Timeline timeline;
  timeline.stepTime = Seconds(lastEnd_);
  timeline.events = events_;
  now_ = lastEnd_;
  for (ClassState& cls : classes_) {
    touch(cls);
    const auto seconds = [&](TimeCategory k) { return Seconds(cls.seconds[size_t(k)]); };
    RankClassSummary summary;
    summary.time.recompute = seconds(TimeCategory::recompute);
    summary.time.compute = seconds(TimeCategory::compute) + summary.time.recompute;
    summary.time.optimizer = seconds(TimeCategory::optimizer);
    summary.time.exposedCommunication = seconds(TimeCategory::communication);
    summary.time.communication = Seconds(cls.communication);
    summary.time.bubble =
        std::max(Seconds(0), timeline.stepTime - (summary.time.compute + summary.time.optimizer +
                                                  summary.time.exposedCommunication));
    cls.meter->report(summary);
    timeline.rankClasses.push_back(std::move(summary));
  }
  std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) {
    return std::tie(a.start, a.rankClass, a.stream, a.call, a.instruction) <
           std::tie(b.start, b.rankClass, b.stream, b.call, b.instruction);
  });
  timeline.spans = std::move(spans_);
  return timeline;
}

void Simulation::reportDeadlock() {
  std::string blocked;
  int named = 0;
  for (uint32_t c = 0; c < classes_.size(); ++c)
    for (uint32_t s = 0; s < kStreams; ++s) {
      const StreamState& st = classes_[c].streams[s];
      if (st.state == State::done || ++named > 12) continue;
      const uint32_t i = st.list->order[st.head->first];
      blocked +=
          fmt::format("; stage {} {}: instruction {} of chunk {}, micro-batch {}",
                      program_.rankClasses[c].stage, streamName(Stream(s)), i,
                      st.list->routine->chunk, program_.rankClasses[c].calls[st.call].microBatch);
      blocked += st.state == State::posted
                     ? fmt::format(" has posted boundary {} and nobody answers", st.head->boundary)
                     : fmt::format(" waits for {}", streamName(Stream(st.needStream)));
    }
  if (named > 12) blocked += fmt::format("; and {} more", named - 12);
  throw Error(ErrorKind::internal, "the program deadlocks" + blocked).at("simulation");
}

}  // namespace

Timeline simulate(const Program& program, const InstructionTimes& times,
                  const SimulationOptions& options) {
  return Simulation(program, times, options).run();
}

}  // namespace meshplan
