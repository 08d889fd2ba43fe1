// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "planner/simulation.h"

namespace meshplan {

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
  if (times_.shared.cores > 0)
    for (uint32_t other = 0; other < classes_.size(); ++other)
      if (other != c && classes_[other].running && !classes_[other].dirty) {
        classes_[other].dirty = true;
        dirty_.push_back(other);
      }
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

double SharedCores::rate(double busy) const {
  const double whole = ranksAtOnce();
  if (busy >= whole) return whole / busy;
  if (whole <= 1) return 1;
  return 1 + (loneSpeedup - 1) * (whole - busy) / (whole - 1);
}

// A collective's time is that of its own ranks busy together.
double Simulation::sharedRate(uint32_t c, bool communicates) const {
  double busy = 0;
  for (uint32_t other = 0; other < classes_.size(); ++other)
    if (classes_[other].running) busy += double(program_.rankClasses[other].ranks);
  const double own = double(program_.rankClasses[c].ranks);
  const double rate = times_.shared.rate(busy);
  return communicates ? rate / times_.shared.rate(std::max(own, times_.shared.ranksAtOnce()))
                      : rate;
}

void Simulation::refreshShared(uint32_t c) {
  eachBit(classes_[c].running, [&](uint32_t s) {
    const StreamState& st = classes_[c].streams[s];
    if (st.state == State::leading) setRate({c, s}, sharedRate(c, communicates(st)));
  });
}

void Simulation::refresh(uint32_t c) {
  if (times_.shared.cores > 0) return refreshShared(c);
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

}  // namespace meshplan
