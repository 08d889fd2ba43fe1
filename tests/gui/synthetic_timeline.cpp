// SPDX-License-Identifier: Apache-2.0
#include "tests/gui/synthetic_timeline.h"

#include <algorithm>
#include <random>

namespace meshplan::gui {
namespace {

constexpr int kOperators = 5;
using Kind = Instruction::Kind;

Instruction made(Kind kind, Stream stream, int op) {
  Instruction in;
  in.kind = kind;
  in.stream = stream;
  if (kind == Kind::compute) in.op = OpId(size_t(op));
  in.collective = kind == Kind::collective ? CollectiveKind::allReduce : CollectiveKind::none;
  in.axes = MeshAxis::tensor;
  in.bytes = Bytes(kind == Kind::compute ? 0 : 1 << 20);
  return in;
}

Routine routineOf(Routine::Kind kind, int stage, const SyntheticOptions& o) {
  Routine routine;
  routine.kind = kind;
  routine.chunk = stage;
  const bool backward = kind == Routine::Kind::backward;
  if (stage > 0) routine.instructions.push_back(made(Kind::receive, Stream::receive, 0));
  for (int i = 0; i < o.layers * kOperators; ++i) {
    routine.instructions.push_back(
        made(Kind::compute, Stream::compute, i + stage * o.layers * kOperators));
    if (i % kOperators == 2 || i % kOperators == 4)
      routine.instructions.push_back(made(Kind::collective, Stream::tensor, i));
  }
  if (stage + 1 < o.stages) routine.instructions.push_back(made(Kind::send, Stream::send, 0));
  for (Instruction& in : routine.instructions) {
    in.backwardDirection = backward;
    in.boundary = in.kind == Kind::receive ? stage - 1 : stage;
    in.peerStage = in.kind == Kind::receive ? stage - 1 : stage + 1;
  }
  return routine;
}

class Clock {
 public:
  explicit Clock(Timeline& timeline) : timeline_(timeline), random_(1) {}

  void run(uint16_t rankClass, uint32_t call, const Routine& routine,
           std::array<double, kStreams>& free) {
    double ready = *std::max_element(free.begin(), free.end());
    std::exponential_distribution<double> length(1e5), rarely(1e6);
    for (uint32_t i = 0; i < routine.instructions.size(); ++i) {
      const Instruction& in = routine.instructions[i];
      double& at = free[size_t(in.stream)];
      at = std::max(at, in.kind == Kind::compute ? ready : free[0]);
      const double start = at + (random_() % 16 == 0 ? rarely(random_) : 0);
      at = start + length(random_) + 1e-7;
      if (in.stream == Stream::compute || in.stream == Stream::receive) ready = at;
      timeline_.spans.push_back(
          {rankClass, in.stream, in.kind, call, i, Seconds(start), Seconds(at)});
      timeline_.stepTime = std::max(timeline_.stepTime, Seconds(at));
    }
  }

 private:
  Timeline& timeline_;
  std::mt19937 random_;
};

}  // namespace

SyntheticTimeline syntheticTimeline(const SyntheticOptions& o) {
  SyntheticTimeline out;
  out.program.mesh.pipeline = o.stages;
  const size_t perCall = size_t(o.layers) * (kOperators + 2) + 2;
  const size_t calls = std::max<size_t>(2, o.spans / (perCall * size_t(o.stages)));
  Clock clock(out.timeline);
  for (int stage = 0; stage < o.stages; ++stage) {
    RankClass c;
    c.stage = stage;
    const auto routine = uint32_t(out.program.routines.size());
    out.program.routines.push_back(routineOf(Routine::Kind::forward, stage, o));
    out.program.routines.push_back(routineOf(Routine::Kind::backward, stage, o));
    std::array<double, kStreams> free;
    free.fill(1e-4 * stage);
    for (uint32_t k = 0; k < calls; ++k) {
      c.calls.push_back({routine + k % 2, int32_t(k / 2), 0});
      clock.run(uint16_t(stage), k, out.program.routines[routine + k % 2], free);
    }
    out.program.rankClasses.push_back(std::move(c));
  }
  std::stable_sort(out.timeline.spans.begin(), out.timeline.spans.end(),
                   [](const Span& a, const Span& b) { return a.start < b.start; });
  out.program.microBatches = int64_t(calls / 2);
  out.timeline.rankClasses.resize(out.program.rankClasses.size());
  return out;
}

}  // namespace meshplan::gui
