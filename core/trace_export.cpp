// SPDX-License-Identifier: Apache-2.0
#include "core/trace_export.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <tuple>

#include "core/perfetto_trace.pb.h"

namespace meshplan {
namespace {

int64_t nanoseconds(Seconds t) {
  return std::llround(t.value * 1e9);
}

std::string processName(const RankClass& c) {
  return fmt::format("stage {} · ranks {}", c.stage, c.ranks);
}

struct Slice {
  uint32_t rankClass = 0, stream = 0;
  int64_t begin = 0, end = 0;  // ns
  std::string name, category, operatorName, phase;
  int64_t microBatch = 0, chunk = 0, bytes = 0;
  uint64_t flow = 0;  // 0: none
  bool flowEnds = false;
};

std::string axesName(MeshAxes axes) {
  std::string out;
  for (int a = 0; a < kMeshAxes; ++a)
    if (axes.has(MeshAxis(a)))
      out += (out.empty() ? "" : "+") + std::string(meshAxisName(MeshAxis(a)));
  return out;
}

std::string_view phaseName(const Routine& routine, const Instruction& in) {
  if (in.recomputed) return "recompute";
  switch (routine.kind) {
    case Routine::Kind::forward:
      return "forward";
    case Routine::Kind::backward:
      return "backward";
    case Routine::Kind::update:
      return "update";
  }
  return "forward";
}

// Spans as slices in an order in which a sender comes before its receiver.
class Slices {
 public:
  Slices(const Program& program, const Timeline& timeline, const Graph& graph)
      : program_(program), timeline_(timeline), graph_(graph), order_(timeline.spans.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      const Span &x = timeline_.spans[a], &y = timeline_.spans[b];
      const bool xReceives = x.kind == Instruction::Kind::receive;
      const bool yReceives = y.kind == Instruction::Kind::receive;
      return std::tie(x.start, xReceives) < std::tie(y.start, yReceives);
    });
    for (const Span& span : timeline_.spans)
      if (span.kind == Instruction::Kind::send) flows_.emplace(keyOf(span), flows_.size() + 1);
  }

  size_t size() const { return order_.size(); }

  Slice at(size_t i) const {
    const Span& span = timeline_.spans[order_[i]];
    const Routine& routine = routineOf(span);
    const Instruction& in = routine.instructions[span.instruction];
    Slice s;
    s.rankClass = span.rankClass;
    s.stream = uint32_t(span.stream);
    s.begin = nanoseconds(span.start);
    s.end = nanoseconds(span.end);
    s.phase = phaseName(routine, in);
    s.microBatch = callOf(span).microBatch;
    s.chunk = routine.chunk;
    s.bytes = in.bytes.value;
    name(in, s);
    const bool transfer =
        in.kind == Instruction::Kind::send || in.kind == Instruction::Kind::receive;
    if (const auto flow = flows_.find(keyOf(span)); transfer && flow != flows_.end()) {
      s.flow = flow->second;
      s.flowEnds = in.kind == Instruction::Kind::receive;
    }
    return s;
  }

 private:
  using Key = std::tuple<int32_t, bool, int32_t>;

  const Call& callOf(const Span& s) const {
    return program_.rankClasses[s.rankClass].calls[s.call];
  }
  const Routine& routineOf(const Span& s) const { return program_.routines[callOf(s).routine]; }
  Key keyOf(const Span& s) const {
    const Instruction& in = routineOf(s).instructions[s.instruction];
    return {in.boundary, in.backwardDirection, callOf(s).microBatch};
  }

  void name(const Instruction& in, Slice& s) const {
    switch (in.kind) {
      case Instruction::Kind::compute:
        s.category = "compute";
        s.operatorName = operatorName(in.op);
        s.name = s.operatorName.empty() ? s.phase : s.operatorName;
        return;
      case Instruction::Kind::collective:
        s.category = "collective";
        s.name = fmt::format("{} {}", collectiveName(in.collective), axesName(in.axes));
        return;
      case Instruction::Kind::send:
        s.category = "transfer";
        s.name = fmt::format("send to stage {}", in.peerStage);
        return;
      case Instruction::Kind::receive:
        s.category = "transfer";
        s.name = fmt::format("receive from stage {}", in.peerStage);
        return;
    }
  }

  std::string operatorName(OpId id) const {
    if (!id.valid() || id.index() >= graph_.operatorCount()) return "";
    const Operator& op = graph_.op(id);
    return op.name.empty() && op.def ? std::string(op.def->name) : op.name;
  }

  const Program& program_;
  const Timeline& timeline_;
  const Graph& graph_;
  std::vector<size_t> order_;
  std::map<Key, uint64_t> flows_;
};

// Process ids start at 1 and thread ids never equal one, because viewers give 0 and "thread =
// process" a meaning.
int32_t processId(size_t rankClass) {
  return int32_t(rankClass) + 1;
}
int32_t threadId(size_t rankClass, size_t stream) {
  return 1'000'000 + int32_t(rankClass) * 10 + int32_t(stream);
}

// The streams that have slices, by rank class.
std::vector<uint8_t> usedStreams(const Program& program, const Timeline& timeline) {
  std::vector<uint8_t> used(program.rankClasses.size());
  for (const Span& s : timeline.spans) used[s.rankClass] |= uint8_t(1u << int(s.stream));
  return used;
}

template <class F>
void eachTrack(const std::vector<uint8_t>& used, F f) {
  for (size_t c = 0; c < used.size(); ++c)
    for (size_t s = 0; s < kStreams; ++s)
      if (used[c] >> s & 1) f(c, s);
}

using Json = nlohmann::ordered_json;

class ChromeWriter {
 public:
  explicit ChromeWriter(std::ostream& out) : out_(out) {
    out_ << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  }
  ~ChromeWriter() { out_ << "\n]}\n"; }

  void add(const Json& event) {
    out_ << (first_ ? "\n" : ",\n") << event.dump(-1, ' ', false, Json::error_handler_t::replace);
    first_ = false;
  }

  void metadata(std::string_view what, int32_t pid, int32_t tid, Json args) {
    add({{"ph", "M"}, {"name", what}, {"pid", pid}, {"tid", tid}, {"args", std::move(args)}});
  }

  void slice(const Slice& s) {
    const int32_t pid = processId(s.rankClass), tid = threadId(s.rankClass, s.stream);
    Json args{{"phase", s.phase}, {"micro_batch", s.microBatch}, {"chunk", s.chunk}};
    if (!s.operatorName.empty()) args["operator"] = s.operatorName;
    if (s.bytes > 0) args["bytes"] = s.bytes;
    add({{"ph", "X"},
         {"name", s.name},
         {"cat", s.category},
         {"pid", pid},
         {"tid", tid},
         {"ts", double(s.begin) / 1000},
         {"dur", double(s.end - s.begin) / 1000},
         {"args", std::move(args)}});
    if (s.flow == 0) return;
    Json flow{{"ph", s.flowEnds ? "f" : "s"},
              {"name", "transfer"},
              {"cat", "transfer"},
              {"id", s.flow},
              {"pid", pid},
              {"tid", tid},
              {"ts", double(s.begin) / 1000}};
    if (s.flowEnds) flow["bp"] = "e";
    add(flow);
  }

 private:
  std::ostream& out_;
  bool first_ = true;
};

namespace pb = perfetto;

uint64_t processTrack(size_t rankClass) {
  return rankClass * 16 + 16;
}
uint64_t streamTrack(size_t rankClass, size_t stream) {
  return processTrack(rankClass) + 1 + stream;
}
uint64_t memoryTrack(size_t rankClass) {
  return processTrack(rankClass) + 15;
}

class PerfettoWriter {
 public:
  explicit PerfettoWriter(std::ostream& out) : out_(out) {}

  void process(size_t c, const std::string& name) {
    pb::TrackDescriptor& track = descriptor(processTrack(c));
    track.mutable_process()->set_pid(processId(c));
    track.mutable_process()->set_process_name(name);
    flush();
  }

  void stream(size_t c, size_t s) {
    pb::TrackDescriptor& track = descriptor(streamTrack(c, s));
    track.set_parent_uuid(processTrack(c));
    track.mutable_thread()->set_pid(processId(c));
    track.mutable_thread()->set_tid(threadId(c, s));
    track.mutable_thread()->set_thread_name(std::string(streamName(Stream(s))));
    flush();
  }

  void memory(size_t c, const std::vector<MemoryPoint>& points) {
    pb::TrackDescriptor& track = descriptor(memoryTrack(c));
    track.set_parent_uuid(processTrack(c));
    track.set_name("memory");
    track.mutable_counter()->set_unit(pb::CounterDescriptor::UNIT_SIZE_BYTES);
    flush();
    for (const MemoryPoint& p : points) {
      event(nanoseconds(p.time), memoryTrack(c), pb::TrackEvent::TYPE_COUNTER)
          .set_counter_value(p.bytes.value);
      flush();
    }
  }

  void begin(const Slice& s) {
    pb::TrackEvent& e =
        event(s.begin, streamTrack(s.rankClass, s.stream), pb::TrackEvent::TYPE_SLICE_BEGIN);
    e.set_name(s.name);
    e.add_categories(s.category);
    annotate(e, "phase", s.phase);
    annotate(e, "micro_batch", s.microBatch);
    annotate(e, "chunk", s.chunk);
    if (!s.operatorName.empty()) annotate(e, "operator", s.operatorName);
    if (s.bytes > 0) annotate(e, "bytes", s.bytes);
    if (s.flow != 0 && !s.flowEnds) e.add_flow_ids(s.flow);
    if (s.flow != 0 && s.flowEnds) e.add_terminating_flow_ids(s.flow);
    flush();
  }

  void end(uint64_t track, int64_t time) {
    event(time, track, pb::TrackEvent::TYPE_SLICE_END);
    flush();
  }

 private:
  pb::TracePacket& packet() {
    trace_.Clear();
    pb::TracePacket& p = *trace_.add_packet();
    p.set_trusted_packet_sequence_id(1);
    return p;
  }
  pb::TrackDescriptor& descriptor(uint64_t uuid) {
    pb::TrackDescriptor& d = *packet().mutable_track_descriptor();
    d.set_uuid(uuid);
    return d;
  }
  pb::TrackEvent& event(int64_t time, uint64_t track, pb::TrackEvent::Type type) {
    pb::TracePacket& p = packet();
    p.set_timestamp(uint64_t(time));
    p.mutable_track_event()->set_track_uuid(track);
    p.mutable_track_event()->set_type(type);
    return *p.mutable_track_event();
  }
  static void annotate(pb::TrackEvent& e, const char* name, const std::string& value) {
    pb::DebugAnnotation& a = *e.add_debug_annotations();
    a.set_name(name);
    a.set_string_value(value);
  }
  static void annotate(pb::TrackEvent& e, const char* name, int64_t value) {
    pb::DebugAnnotation& a = *e.add_debug_annotations();
    a.set_name(name);
    a.set_int_value(value);
  }
  // A trace is its packets one after the other: no need to hold them all.
  void flush() { trace_.SerializeToOstream(&out_); }

  std::ostream& out_;
  pb::Trace trace_;
};

}  // namespace

void writeChromeTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                      const Graph& graph) {
  ChromeWriter writer(out);
  for (size_t c = 0; c < program.rankClasses.size(); ++c) {
    writer.metadata("process_name", processId(c), 0,
                    {{"name", processName(program.rankClasses[c])}});
    writer.metadata("process_sort_index", processId(c), 0, {{"sort_index", c}});
  }
  eachTrack(usedStreams(program, timeline), [&](size_t c, size_t s) {
    const int32_t pid = processId(c), tid = threadId(c, s);
    writer.metadata("thread_name", pid, tid, {{"name", streamName(Stream(s))}});
    writer.metadata("thread_sort_index", pid, tid, {{"sort_index", s}});
  });
  const Slices slices(program, timeline, graph);
  for (size_t i = 0; i < slices.size(); ++i) writer.slice(slices.at(i));
  for (size_t c = 0; c < timeline.rankClasses.size(); ++c)
    for (const MemoryPoint& p : timeline.rankClasses[c].memory)
      writer.add({{"ph", "C"},
                  {"name", "memory"},
                  {"pid", processId(c)},
                  {"ts", double(nanoseconds(p.time)) / 1000},
                  {"args", {{"bytes", p.bytes.value}}}});
}

void writePerfettoTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                        const Graph& graph) {
  PerfettoWriter writer(out);
  for (size_t c = 0; c < program.rankClasses.size(); ++c)
    writer.process(c, processName(program.rankClasses[c]));
  eachTrack(usedStreams(program, timeline), [&](size_t c, size_t s) { writer.stream(c, s); });
  // Readers sort by time and keep the order of equal times: a slice must end in the file before the
  // next of its track begins, and a send must begin before its receive.
  const Slices slices(program, timeline, graph);
  std::map<uint64_t, int64_t> open;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice s = slices.at(i);
    const uint64_t track = streamTrack(s.rankClass, s.stream);
    if (const auto before = open.find(track); before != open.end())
      writer.end(track, before->second);
    writer.begin(s);
    open[track] = s.end;
  }
  for (const auto& [track, end] : open) writer.end(track, end);
  for (size_t c = 0; c < timeline.rankClasses.size(); ++c)
    if (!timeline.rankClasses[c].memory.empty()) writer.memory(c, timeline.rankClasses[c].memory);
}

}  // namespace meshplan
