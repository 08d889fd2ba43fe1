// SPDX-License-Identifier: Apache-2.0
#include "planner/activity.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kCompute = size_t(Stream::compute);
using Merged = std::array<bool, kStreams>;  // streams that run as part of the compute stream

bool isJoint(const Instruction& in) {
  return in.kind == Instruction::Kind::collective && in.axes.has(MeshAxis::pipeline);
}

bool isLocal(const Instruction& in) {
  return in.kind == Instruction::Kind::compute ||
         (in.kind == Instruction::Kind::collective && !isJoint(in));
}

size_t queueOf(const Instruction& in, const Merged& merged) {
  return merged[size_t(in.stream)] ? kCompute : size_t(in.stream);
}

bool waitsFor(const Instruction& later, uint32_t earlier) {
  return std::find(later.waits.begin(), later.waits.end(), earlier) != later.waits.end();
}

// Every merged collective must start when its left neighbour on the joint queue ends and hold up
// its right neighbour: then the queue's order adds nothing to what the program says.
bool mayMerge(const Routine& routine, const Merged& merged) {
  uint32_t last = UINT32_MAX;
  bool open =
      false;  // the entry at `last` is a collective that nothing on the queue waited for yet
  for (uint32_t i = 0; i < routine.instructions.size(); ++i) {
    const Instruction& in = routine.instructions[i];
    const bool queued = queueOf(in, merged) == kCompute;
    for (size_t s = 0; s < kStreams; ++s)
      if (!queued && merged[s] && s != kCompute && (in.drains >> s & 1)) return false;
    if (!queued) continue;
    const bool collective = in.stream != Stream::compute;
    if (collective && !isLocal(in)) return false;
    if ((collective || open) && (last == UINT32_MAX || !waitsFor(in, last))) return false;
    open = collective;
    last = i;
  }
  return !open;
}

Merged mergedStreams(const Routine& routine) {
  Merged merged{};
  merged[kCompute] = true;
  for (Stream s : {Stream::tensor, Stream::expert, Stream::data}) {
    merged[size_t(s)] = true;
    merged[size_t(s)] = mayMerge(routine, merged);
  }
  return merged;
}

// The streams that some routines merge and others use or drain: their order must hold across calls.
Merged mixedStreams(const Program& program, const std::vector<uint32_t>& routines,
                    const std::vector<Merged>& merged) {
  Merged inside{}, outside{};
  for (size_t r = 0; r < routines.size(); ++r)
    for (const Instruction& in : program.routines[routines[r]].instructions)
      for (size_t s = kCompute + 1; s < kStreams; ++s)
        if (size_t(in.stream) == s || (in.drains >> s & 1))
          (merged[r][s] ? inside : outside)[s] = true;
  Merged mixed{};
  for (size_t s = 0; s < kStreams; ++s) mixed[s] = inside[s] && outside[s];
  return mixed;
}

// By stream, then by stream of merged collectives (see Requirement); -1: nothing is required.
using Counts = std::array<int64_t, 2 * kStreams>;

void require(Counts& counts, size_t stream, int64_t count) {
  counts[stream] = std::max(counts[stream], count);
}

class Compiler {
 public:
  Compiler(const Program& program, uint32_t routine, const InstructionTimes& times,
           const Merged& merged, const Merged& mixed, bool contract)
      : routine_(program.routines[routine]),
        seconds_(times.times[routine]),
        demands_(times.demands.empty() ? nullptr : &times.demands[routine]),
        host_(times.host.empty() ? nullptr : &times.host[routine]),
        merged_(merged),
        mixed_(mixed),
        contract_(contract) {}

  ActivityList run() {
    list_.routine = &routine_;
    enqueue();
    findRequirements();
    for (size_t s = 0; s < kStreams; ++s) {
      list_.streamStart[s] = uint32_t(list_.activities.size());
      contractStream(s);
    }
    list_.streamStart[kStreams] = uint32_t(list_.activities.size());
    countActivities();
    return std::move(list_);
  }

 private:
  const Instruction& at(uint32_t i) const { return routine_.instructions[i]; }

  void enqueue() {
    position_.resize(routine_.instructions.size());
    issued_.resize(routine_.instructions.size());
    for (uint32_t i = 0; i < routine_.instructions.size(); ++i) {
      const double t = seconds_[i].value;
      if (!std::isfinite(t) || t < 0)
        throw Error(ErrorKind::internal, fmt::format("instruction {} takes {} s", i, t))
            .at(fmt::format("chunk {}", routine_.chunk));
      std::vector<uint32_t>& queue = queues_[queueOf(at(i), merged_)];
      position_[i] = uint32_t(queue.size());
      queue.push_back(i);
      if (host_) list_.host += (*host_)[i].value;
      issued_[i] = list_.host;
    }
  }

  // What instruction i needs beyond the order of its own queue. `ownCount` counts what is on the
  // queues so far up to the last instruction of each stream itself, without those merged into it.
  Counts needs(uint32_t i, const Counts& ownCount) const {
    Counts counts;
    counts.fill(-1);
    const Instruction& in = at(i);
    const size_t own = queueOf(in, merged_);
    for (uint32_t w : in.waits)
      if (const size_t q = queueOf(at(w), merged_); q != own) require(counts, q, position_[w] + 1);
    for (size_t s = 0; s < kStreams; ++s) {
      const bool drains = in.drains >> s & 1;
      const bool first = size_t(in.stream) == s && ownCount[s] == 0;
      const bool inside = s != kCompute && merged_[s];
      if (drains && s != own && !inside) require(counts, s, ownCount[s]);
      if (!mixed_[s] || !(drains || first)) continue;
      if (inside)
        require(counts, s, 0);
      else if (own != kCompute)
        require(counts, kStreams + s, 0);
    }
    return counts;
  }

  // Keeps of each instruction's needs those that no earlier one on its queue had, and notes where
  // others wait.
  void findRequirements() {
    std::array<Counts, kStreams> seen;
    for (Counts& c : seen) c.fill(-1);
    Counts ownCount{};
    needs_.resize(routine_.instructions.size());
    for (size_t s = 0; s < kStreams; ++s) awaited_[s].assign(queues_[s].size(), false);
    for (uint32_t i = 0; i < routine_.instructions.size(); ++i) {
      needs_[i] = needs(i, ownCount);
      Counts& known = seen[queueOf(at(i), merged_)];
      for (size_t s = 0; s < needs_[i].size(); ++s) {
        if (needs_[i][s] <= known[s])
          needs_[i][s] = -1;
        else
          known[s] = needs_[i][s];
        if (needs_[i][s] > 0) awaited_[s][size_t(needs_[i][s] - 1)] = true;
      }
      ownCount[size_t(at(i).stream)] = position_[i] + 1;
    }
    for (size_t s = 0; s < kStreams; ++s) {
      lastMerged_[s] = s != kCompute && merged_[s] && mixed_[s] ? ownCount[s] : 0;
      if (lastMerged_[s] > 0) awaited_[kCompute][size_t(lastMerged_[s] - 1)] = true;
    }
  }

  bool changesMemory(uint32_t i) const { return !at(i).allocates.empty() || !at(i).frees.empty(); }

  // Off the compute stream memory changes stay apart, so that two activities never interleave more
  // than one change.
  bool joins(size_t s, uint32_t position) const {
    if (!contract_ || position == 0 || awaited_[s][position - 1]) return false;
    const uint32_t i = queues_[s][position], before = queues_[s][position - 1];
    if (s != kCompute && (changesMemory(i) || changesMemory(before))) return false;
    return isLocal(at(i)) && isLocal(at(before)) &&
           std::all_of(needs_[i].begin(), needs_[i].end(), [](int64_t n) { return n < 0; });
  }

  void contractStream(size_t s) {
    activitiesUpTo_[s].assign(queues_[s].size() + 1, 0);
    for (uint32_t p = 0; p < queues_[s].size(); ++p) {
      if (!joins(s, p)) begin(queues_[s][p]);
      append(queues_[s][p]);
      activitiesUpTo_[s][p + 1] = uint32_t(list_.activities.size()) - list_.streamStart[s];
    }
  }

  void begin(uint32_t i) {
    const Instruction& in = at(i);
    Activity a;
    a.kind = in.kind == Instruction::Kind::send      ? Activity::Kind::send
             : in.kind == Instruction::Kind::receive ? Activity::Kind::receive
             : isJoint(in)                           ? Activity::Kind::joint
                                                     : Activity::Kind::local;
    a.backwardDirection = in.backwardDirection;
    a.boundary = in.boundary;
    a.peerStage = in.peerStage;
    a.firstSegment = uint32_t(list_.segments.size());
    a.first = uint32_t(list_.order.size());
    a.hostWaits = in.drains & (streamBit(Stream::send) | streamBit(Stream::receive));
    a.hostBefore = host_ ? issued_[i] - (*host_)[i].value : 0;
    list_.activities.push_back(a);
  }

  TimeCategory categoryOf(const Instruction& in) const {
    if (in.kind != Instruction::Kind::compute) return TimeCategory::communication;
    if (routine_.kind == Routine::Kind::update) return TimeCategory::optimizer;
    return in.recomputed ? TimeCategory::recompute : TimeCategory::compute;
  }

  void append(uint32_t i) {
    Activity& a = list_.activities.back();
    const Instruction& in = at(i);
    const TimeCategory category = categoryOf(in);
    const LinkDemand demand =
        demands_ && in.kind != Instruction::Kind::compute ? (*demands_)[i] : LinkDemand{};
    appendMemory(a, in);
    a.hostLead = std::max(a.hostLead, issued_[i] - a.work);
    list_.order.push_back(i);
    list_.workBefore.push_back(a.work);
    ++a.count;
    a.work += seconds_[i].value;
    a.seconds[size_t(category)] += seconds_[i].value;
    if (a.segments > 0 && list_.segments.back().category == category &&
        list_.segments.back().demand == demand) {
      list_.segments.back().end = a.work;
      return;
    }
    list_.segments.push_back({a.work, category, demand});
    ++a.segments;
  }

  void appendMemory(Activity& a, const Instruction& in) {
    if (in.allocates.empty() && in.frees.empty()) return;
    if (!a.changesMemory) {
      a.changesMemory = true;
      a.memory = uint32_t(list_.memory.size());
      list_.memory.push_back({});
    }
    MemoryEffect& effect = list_.memory[a.memory];
    int64_t now = 0;
    for (BufferIndex b : in.allocates)
      effect.net[size_t(routine_.buffers[b].category)] += routine_.buffers[b].bytes.value;
    for (int64_t bytes : effect.net) now += bytes;
    if (now > effect.peak) {
      effect.peak = now;
      effect.atPeak = effect.net;
      effect.peakPosition = uint32_t(list_.order.size());
    }
    for (BufferIndex b : in.frees)
      effect.net[size_t(routine_.buffers[b].category)] -= routine_.buffers[b].bytes.value;
  }

  // Requirements in activities instead of instructions: exact, because an awaited instruction ends
  // its activity.
  void countActivities() {
    for (Activity& a : list_.activities) {
      const Counts& counts = needs_[list_.order[a.first]];
      a.firstRequirement = uint32_t(list_.requirements.size());
      for (size_t s = 0; s < counts.size(); ++s)
        if (counts[s] >= 0)
          list_.requirements.push_back(
              {uint8_t(s), s < kStreams ? activitiesUpTo_[s][size_t(counts[s])] : 0});
      a.requirements = uint32_t(list_.requirements.size()) - a.firstRequirement;
    }
    for (size_t s = 0; s < kStreams; ++s)
      list_.mergedUpTo[s] = activitiesUpTo_[kCompute][size_t(lastMerged_[s])];
  }

  const Routine& routine_;
  const std::vector<Seconds>& seconds_;
  const std::vector<LinkDemand>* demands_;
  const std::vector<Seconds>* host_;
  const Merged &merged_, &mixed_;
  bool contract_;
  ActivityList list_;
  std::array<std::vector<uint32_t>, kStreams> queues_, activitiesUpTo_;
  std::array<std::vector<bool>, kStreams> awaited_;
  std::array<int64_t, kStreams> lastMerged_{};  // on the compute queue, counted from 1
  std::vector<uint32_t> position_;              // on its queue
  std::vector<double> issued_;                  // by the host, seconds after it began the call
  std::vector<Counts> needs_;                   // in instructions of the queue
};

}  // namespace

ClassActivities activitiesOf(const Program& program, const RankClass& rankClass,
                             const InstructionTimes& times, bool contract) {
  std::vector<uint32_t> routines;
  for (const Call& call : rankClass.calls) routines.push_back(call.routine);
  std::sort(routines.begin(), routines.end());
  routines.erase(std::unique(routines.begin(), routines.end()), routines.end());
  Merged alone{};
  alone[kCompute] = true;
  if (times.serial) alone.fill(true);
  std::vector<Merged> merged(routines.size(), alone);
  if (contract && !times.serial)
    for (size_t r = 0; r < routines.size(); ++r)
      merged[r] = mergedStreams(program.routines[routines[r]]);
  const Merged mixed = mixedStreams(program, routines, merged);
  ClassActivities out;
  for (size_t r = 0; r < routines.size(); ++r)
    out.lists.push_back(Compiler(program, routines[r], times, merged[r], mixed, contract).run());
  for (const Call& call : rankClass.calls)
    out.listOfCall.push_back(uint32_t(
        std::lower_bound(routines.begin(), routines.end(), call.routine) - routines.begin()));
  return out;
}

}  // namespace meshplan
