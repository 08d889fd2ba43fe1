// SPDX-License-Identifier: Apache-2.0
#include "tests/planner/pipeline_program.h"

#include <random>

namespace meshplan {
namespace {

struct Writer {
  Routine routine;
  std::vector<Seconds> times;

  uint32_t add(Instruction in, double seconds) {
    routine.instructions.push_back(std::move(in));
    times.push_back(Seconds(seconds));
    return uint32_t(times.size() - 1);
  }
  uint32_t compute(double seconds, std::vector<uint32_t> waits) {
    Instruction in;
    in.waits = std::move(waits);
    return add(std::move(in), seconds);
  }
  uint32_t collective(Stream stream, MeshAxes axes, double seconds, std::vector<uint32_t> waits) {
    Instruction in;
    in.kind = Instruction::Kind::collective;
    in.stream = stream;
    in.collective = CollectiveKind::allReduce;
    in.axes = axes;
    in.bytes = Bytes(1000);
    in.waits = std::move(waits);
    return add(std::move(in), seconds);
  }
  uint32_t transfer(bool send, int32_t boundary, bool backward, int64_t peer, double seconds,
                    std::vector<uint32_t> waits) {
    Instruction in;
    in.kind = send ? Instruction::Kind::send : Instruction::Kind::receive;
    in.stream = send ? Stream::send : Stream::receive;
    in.collective = CollectiveKind::sendReceive;
    in.axes = MeshAxis::pipeline;
    in.bytes = Bytes(1000);
    in.boundary = boundary;
    in.backwardDirection = backward;
    in.peerStage = int32_t(peer);
    in.waits = std::move(waits);
    return add(std::move(in), send ? seconds : 0);
  }
  BufferIndex buffer(int64_t bytes, Buffer::Scope scope) {
    Buffer b;
    b.name = "b" + std::to_string(routine.buffers.size());
    b.bytes = Bytes(bytes);
    b.scope = scope;
    routine.buffers.push_back(b);
    return BufferIndex(routine.buffers.size() - 1);
  }
};

uint32_t append(PipelineProgram& out, Writer w) {
  out.program.routines.push_back(std::move(w.routine));
  out.times.times.push_back(std::move(w.times));
  return uint32_t(out.program.routines.size() - 1);
}

void addLayer(Writer& w, const PipelineOptions& o, double seconds, std::vector<uint32_t>& last) {
  last = {w.compute(seconds, last)};
  if (o.tensor > 0) last = {w.collective(Stream::tensor, MeshAxis::tensor, o.tensor, last)};
}

// Ends on the compute stream, as layers with a residual connection do.
void endLayers(Writer& w, const PipelineOptions& o, std::vector<uint32_t>& last) {
  if (o.tensor > 0) last = {w.compute(0, last)};
}

Writer forwardRoutine(const PipelineOptions& o, int64_t chunk) {
  const int64_t p = o.stages, chunks = p * o.virtualStages;
  Writer w;
  w.routine.chunk = int32_t(chunk);
  std::vector<uint32_t> last;
  if (chunk > 0) last = {w.transfer(false, int32_t(chunk - 1), false, (chunk - 1) % p, 0, {})};
  for (int i = 0; i < o.layers; ++i) {
    addLayer(w, o, o.forward, last);
    if (o.savedBytes > 0)
      w.routine.instructions.back().allocates = {w.buffer(o.savedBytes, Buffer::Scope::microBatch)};
  }
  endLayers(w, o, last);
  if (chunk + 1 < chunks)
    w.transfer(true, int32_t(chunk), false, (chunk + 1) % p, o.transfer, last);
  return w;
}

Writer backwardRoutine(const PipelineOptions& o, int64_t chunk, const Routine& forward,
                       bool lastMicroBatch) {
  const int64_t p = o.stages, chunks = p * o.virtualStages;
  Writer w;
  w.routine.kind = Routine::Kind::backward;
  w.routine.chunk = int32_t(chunk);
  w.routine.lastMicroBatch = lastMicroBatch;
  w.routine.buffers = forward.buffers;
  std::vector<uint32_t> last;
  if (chunk + 1 < chunks)
    last = {w.transfer(false, int32_t(chunk + 1), true, (chunk + 1) % p, 0, {})};
  for (int i = 0; i < o.layers; ++i) {
    addLayer(w, o, 2 * o.forward, last);
    if (o.savedBytes > 0) w.routine.instructions.back().frees = {BufferIndex(o.layers - 1 - i)};
    if (lastMicroBatch && o.gradients > 0)
      w.collective(Stream::data, MeshAxis::data, o.gradients, last);
  }
  endLayers(w, o, last);
  if (chunk > 0) w.transfer(true, int32_t(chunk), true, (chunk - 1) % p, o.transfer, last);
  return w;
}

Writer updateRoutine(double seconds) {
  Writer w;
  w.routine.kind = Routine::Kind::update;
  w.compute(seconds, {});
  w.routine.instructions.back().drains = uint8_t(1u << int(Stream::data));
  return w;
}

struct Random {
  std::mt19937 engine;
  int upTo(int n) { return int(engine() % uint32_t(n + 1)); }
  bool chance(int percent) { return upTo(99) < percent; }
  double seconds() { return chance(10) ? 0 : 0.05 + double(engine()) / 4294967296.0; }
  std::vector<uint32_t> waits(uint32_t before) {
    std::vector<uint32_t> out;
    for (int n = upTo(2); n > 0 && before > 0; --n) out.push_back(engine() % before);
    return out;
  }
};

// Random local work after what is there already.
void addRandomWork(Writer& w, Random& random) {
  constexpr Stream kSomeStreams[] = {Stream::compute, Stream::compute, Stream::tensor,
                                     Stream::tensor,  Stream::data,    Stream::expert};
  const bool chain = random.chance(50), closed = chain && random.chance(70);
  std::vector<BufferIndex> live;
  for (int n = 1 + random.upTo(6); n > 0; --n) {
    Stream s = kSomeStreams[random.upTo(5)];
    if (closed)
      s = w.times.empty() || n == 1 ? Stream::compute : (n % 2 ? Stream::compute : Stream::tensor);
    const uint32_t before = uint32_t(w.times.size());
    std::vector<uint32_t> waits = random.waits(before);
    if (chain && before > 0) waits = {before - 1};
    // A rank that waits for its own send to arrive can deadlock with one that does the same.
    std::erase_if(waits, [&](uint32_t i) {
      return w.routine.instructions[i].kind == Instruction::Kind::send;
    });
    if (s == Stream::compute)
      w.compute(random.seconds(), waits);
    else
      w.collective(s, MeshAxes(s == Stream::data ? MeshAxis::data : MeshAxis::tensor),
                   random.seconds(), waits);
    Instruction& in = w.routine.instructions.back();
    if (random.chance(10)) in.drains = uint8_t(random.upTo(15));
    in.recomputed = random.chance(10);
    if (random.chance(50)) {
      live.push_back(w.buffer(1 + random.upTo(100), Buffer::Scope::scratch));
      in.allocates = {live.back()};
    }
    if (!live.empty() && random.chance(40)) {
      in.frees = {live.back()};
      live.pop_back();
    }
  }
  for (BufferIndex b : live) w.routine.instructions.back().frees.push_back(b);
}

Writer randomRoutine(Random& random, Writer frame, bool forward) {
  // The frame has at most one receive and one send; put work between them.
  Writer w;
  w.routine.kind = frame.routine.kind;
  w.routine.chunk = frame.routine.chunk;
  w.routine.lastMicroBatch = frame.routine.lastMicroBatch;
  if (!forward && random.chance(30)) addRandomWork(w, random);
  for (const Instruction& in : frame.routine.instructions)
    if (in.kind == Instruction::Kind::receive) w.add(in, 0);
  addRandomWork(w, random);
  for (Instruction in : frame.routine.instructions)
    if (in.kind == Instruction::Kind::send) {
      in.waits = {uint32_t(w.times.size() - 1)};
      w.add(in, random.seconds());
    }
  if (random.chance(30)) addRandomWork(w, random);
  return w;
}

}  // namespace

PipelineProgram pipelineProgram(const PipelineOptions& o) {
  PipelineProgram out;
  const int64_t p = o.stages, v = o.virtualStages;
  out.program.mesh.pipeline = p;
  out.program.microBatches = o.microBatches;
  out.program.work.resize(1);
  std::vector<uint32_t> forward, backward, backwardLast;
  for (int64_t chunk = 0; chunk < p * v; ++chunk) {
    const Writer f = forwardRoutine(o, chunk);
    backward.push_back(append(out, backwardRoutine(o, chunk, f.routine, false)));
    backwardLast.push_back(append(out, backwardRoutine(o, chunk, f.routine, true)));
    forward.push_back(append(out, f));
  }
  const uint32_t update = o.update > 0 ? append(out, updateRoutine(o.update)) : 0;
  for (int64_t s = 0; s < p; ++s) {
    RankClass rankClass;
    rankClass.stage = int32_t(s);
    for (const ScheduleStep& step : pipelineOrder(o.schedule, s, p, o.microBatches, v)) {
      const size_t chunk = size_t(step.chunk * p + s);
      const bool last = step.microBatch + 1 == o.microBatches;
      rankClass.calls.push_back(
          {!step.backward ? forward[chunk] : (last ? backwardLast : backward)[chunk],
           step.microBatch});
    }
    if (o.update > 0) rankClass.calls.push_back({update, 0});
    out.program.rankClasses.push_back(std::move(rankClass));
  }
  return out;
}

PipelineProgram randomProgram(uint32_t seed) {
  Random random{std::mt19937(seed)};
  PipelineOptions o;
  o.stages = 1 + random.upTo(3);
  o.schedule = ScheduleKind(random.upTo(2));
  o.virtualStages = o.schedule == ScheduleKind::interleaved ? 1 + random.upTo(2) : 1;
  o.microBatches = o.stages * (1 + random.upTo(2));
  o.update = 1;
  PipelineProgram out = pipelineProgram(o);
  for (size_t r = 0; r < out.program.routines.size(); ++r) {
    Writer frame{out.program.routines[r], {}};
    Writer w = randomRoutine(random, frame, frame.routine.kind == Routine::Kind::forward);
    if (frame.routine.kind == Routine::Kind::update && random.chance(60))
      w.collective(Stream::data, MeshAxis::data | MeshAxis::pipeline, random.seconds(),
                   random.waits(uint32_t(w.times.size())));
    for (Instruction& in : w.routine.instructions)
      if (in.axes.has(MeshAxis::pipeline) && in.kind == Instruction::Kind::collective)
        in.boundary = 0;
    out.program.routines[r] = std::move(w.routine);
    out.times.times[r] = std::move(w.times);
  }
  return out;
}

}  // namespace meshplan
