// SPDX-License-Identifier: Apache-2.0
#include "planner/simulator.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "planner/simulation.h"

namespace meshplan {

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
  cls.hostStart.assign(1, 0);
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
  if (times_.host.empty()) return start({c, s});
  const double issued = issueTime(cls, st);
  if (issued <= now_) return start({c, s});
  st.state = State::unissued;
  st.since = now_;
  queue_.set(c, s, issued);
}

/// When the head of the queue may start at the earliest, for the host's sake. Calls are asked about
/// in any order, but the host begins with them one by one.
double Simulation::issueTime(ClassState& cls, const StreamState& st) {
  std::vector<double>& starts = cls.hostStart;
  while (starts.size() <= st.call) {
    const size_t before = starts.size() - 1;
    starts.push_back(starts[before] + cls.activities.lists[cls.activities.listOfCall[before]].host);
  }
  if (st.head->hostWaits) starts[st.call] = std::max(starts[st.call], now_ - st.head->hostBefore);
  return starts[st.call] + st.head->hostLead;
}

void Simulation::start(SlotId id) {
  switch (at(id).head->kind) {
    case Activity::Kind::local:
      return occupy(id, id);
    case Activity::Kind::joint:
      return arrive(id);
    case Activity::Kind::send:
      return times_.serial ? occupy(id, id) : post(id);
    case Activity::Kind::receive:
      if (!times_.serial) return post(id);
      at(id).state = State::posted;
      if (isDelivered(id)) occupy(id, id);
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

bool Simulation::isDelivered(SlotId receiver) {
  const RankClass& rankClass = program_.rankClasses[receiver.rankClass];
  const StreamState& st = at(receiver);
  return messages_.erase({st.head->boundary, st.head->backwardDirection,
                          rankClass.calls[st.call].microBatch, rankClass.stage}) > 0;
}

void Simulation::deliver(SlotId sender) {
  const StreamState& st = at(sender);
  const Activity& a = *st.head;
  messages_.insert({a.boundary, a.backwardDirection,
                    program_.rankClasses[sender.rankClass].calls[st.call].microBatch, a.peerStage});
  const auto peer = classOfStage_.find(a.peerStage);
  if (peer == classOfStage_.end()) return;
  const SlotId receiver{peer->second, uint32_t(Stream::compute)};
  if (at(receiver).state == State::posted && at(receiver).head->kind == Activity::Kind::receive &&
      isDelivered(receiver))
    occupy(receiver, receiver);
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
  if (st.state == State::unissued) {
    queue_.set(id.rankClass, id.stream, EventQueue::kNever);
    if (id.stream == uint32_t(Stream::compute)) cls.hostWait += now_ - st.since;
    return start(id);
  }
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
  if (times_.serial && at(leader).head->kind == Activity::Kind::send) deliver(leader);
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
    summary.time.host = Seconds(cls.hostWait);
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

Timeline simulate(const Program& program, const InstructionTimes& times,
                  const SimulationOptions& options) {
  return Simulation(program, times, options).run();
}

}  // namespace meshplan
