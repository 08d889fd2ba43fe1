// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "core/perfetto_trace.pb.h"
#include "core/trace_slices.h"

namespace meshplan {
namespace {

namespace pb = perfetto;

// Thirty-two tracks per rank class: itself, and for each of two timelines its streams and a memory
// counter.
uint64_t processTrack(size_t rankClass) {
  return rankClass * 32 + 32;
}
uint64_t laneTrack(const TraceLane& lane) {
  return processTrack(lane.rankClass) + 1 + lane.timeline * 16 + lane.stream;
}
uint64_t memoryTrack(size_t rankClass, size_t timeline) {
  return processTrack(rankClass) + 15 + timeline * 16;
}

class PerfettoWriter {
 public:
  explicit PerfettoWriter(std::ostream& out) : out_(out) {}

  void process(size_t c, const std::string& name) {
    pb::TrackDescriptor& track = descriptor(processTrack(c));
    track.mutable_process()->set_pid(traceProcessId(c));
    track.mutable_process()->set_process_name(name);
    flush();
  }

  void lane(const TraceLane& lane, const std::string& name) {
    pb::TrackDescriptor& track = descriptor(laneTrack(lane));
    track.set_parent_uuid(processTrack(lane.rankClass));
    track.mutable_thread()->set_pid(traceProcessId(lane.rankClass));
    track.mutable_thread()->set_tid(traceThreadId(lane));
    track.mutable_thread()->set_thread_name(name);
    flush();
  }

  void memory(size_t c, size_t timeline, const std::string& name,
              const std::vector<MemoryPoint>& points) {
    pb::TrackDescriptor& track = descriptor(memoryTrack(c, timeline));
    track.set_parent_uuid(processTrack(c));
    track.set_name(name);
    track.mutable_counter()->set_unit(pb::CounterDescriptor::UNIT_SIZE_BYTES);
    flush();
    for (const MemoryPoint& p : points) {
      event(traceNanoseconds(p.time), memoryTrack(c, timeline), pb::TrackEvent::TYPE_COUNTER)
          .set_counter_value(p.bytes.value);
      flush();
    }
  }

  void begin(const TraceSlice& s) {
    pb::TrackEvent& e = event(s.begin, laneTrack(s.lane), pb::TrackEvent::TYPE_SLICE_BEGIN);
    e.set_name(s.name);
    e.add_categories(s.category);
    annotation(e, "phase").set_string_value(s.phase);
    annotation(e, "micro_batch").set_int_value(s.microBatch);
    annotation(e, "chunk").set_int_value(s.chunk);
    if (!s.operatorName.empty()) annotation(e, "operator").set_string_value(s.operatorName);
    if (s.bytes > 0) annotation(e, "bytes").set_int_value(s.bytes);
    if (s.predicted) annotation(e, "predicted_us").set_double_value(*s.predicted * 1e6);
    if (s.error) annotation(e, "error_percent").set_double_value(*s.error * 100);
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
  static pb::DebugAnnotation& annotation(pb::TrackEvent& e, const char* name) {
    pb::DebugAnnotation& a = *e.add_debug_annotations();
    a.set_name(name);
    return a;
  }
  // A trace is its packets one after the other: no need to hold them all.
  void flush() { trace_.SerializeToOstream(&out_); }

  std::ostream& out_;
  pb::Trace trace_;
};

}  // namespace

void writePerfettoTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                        const Graph& graph) {
  writePerfettoTrace(out, program, TracedTimelines{{&timeline, ""}}, graph);
}

void writePerfettoTrace(std::ostream& out, const Program& program, const TracedTimelines& timelines,
                        const Graph& graph) {
  PerfettoWriter writer(out);
  for (size_t c = 0; c < program.rankClasses.size(); ++c)
    writer.process(c, traceProcessName(program.rankClasses[c]));
  const TraceSlices slices(program, timelines, graph);
  for (const TraceLane& lane : slices.lanes()) writer.lane(lane, traceLaneName(lane, timelines));
  // Readers sort by time and keep the order of equal times: a slice must end in the file before the
  // next of its track begins, and a send must begin before its receive.
  std::map<uint64_t, int64_t> open;
  slices.each([&](const TraceSlice& s) {
    const uint64_t track = laneTrack(s.lane);
    if (const auto before = open.find(track); before != open.end())
      writer.end(track, before->second);
    writer.begin(s);
    open[track] = s.end;
  });
  for (const auto& [track, end] : open) writer.end(track, end);
  for (size_t t = 0; t < timelines.size(); ++t)
    for (size_t c = 0; c < timelines[t].timeline->rankClasses.size(); ++c)
      if (const auto& points = timelines[t].timeline->rankClasses[c].memory; !points.empty())
        writer.memory(c, t, traceMemoryName(timelines[t]), points);
}

}  // namespace meshplan
