// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <google/protobuf/io/coded_stream.h>

#include <map>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/perfetto_trace.pb.h"
#include "core/trace_event.h"

namespace meshplan {
namespace {

namespace pb = meshplan::perfetto;
using Kind = TraceEvent::Kind;

class Reader {
 public:
  explicit Reader(const OnTraceEvent& onEvent) : onEvent_(onEvent) {}

  bool sawEvents() const { return sawEvents_; }

  void read(const pb::TracePacket& packet) {
    if (packet.has_track_descriptor()) describe(packet.track_descriptor());
    if (packet.has_track_event())
      event(packet.track_event(), static_cast<int64_t>(packet.timestamp()));
  }

 private:
  struct Track {
    std::string process, thread, name;
    bool bytes = false;
  };

  void describe(const pb::TrackDescriptor& d) {
    Track& track = tracks_[d.uuid()];
    const auto parent = tracks_.find(d.parent_uuid());
    track.thread = std::to_string(d.uuid());
    track.process = parent != tracks_.end() ? parent->second.process : track.thread;
    track.name = d.name();
    track.bytes = d.counter().unit() == pb::CounterDescriptor::UNIT_SIZE_BYTES;
    if (d.has_thread()) track.process = std::to_string(d.thread().pid());
    if (d.has_process()) {
      track.process = std::to_string(d.process().pid());
      name(Kind::processName, track, d.process().process_name());
      order(Kind::processOrder, track);
    }
    if (d.has_counter()) return;
    if (d.has_thread() || d.has_name()) {
      name(Kind::threadName, track, d.has_thread() ? d.thread().thread_name() : d.name());
      order(Kind::threadOrder, track);
    }
  }

  TraceEvent& onTrack(Kind kind, const Track& track) {
    event_ = {};
    event_.kind = kind;
    event_.process = track.process;
    event_.thread = track.thread;
    return event_;
  }
  void name(Kind kind, const Track& track, const std::string& name) {
    onTrack(kind, track).name = name;
    onEvent_(event_);
  }
  void order(Kind kind, const Track& track) {
    onTrack(kind, track).value = static_cast<double>(tracks_.size());
    onEvent_(event_);
  }

  void event(const pb::TrackEvent& e, int64_t time) {
    const Track& track = tracks_[e.track_uuid()];
    const auto type = e.type();
    if (type == pb::TrackEvent::TYPE_UNSPECIFIED) return;
    sawEvents_ = true;
    onTrack(type == pb::TrackEvent::TYPE_SLICE_BEGIN ? Kind::begin
            : type == pb::TrackEvent::TYPE_SLICE_END ? Kind::end
                                                     : Kind::counter,
            track)
        .begin = time;
    event_.name = type == pb::TrackEvent::TYPE_COUNTER ? track.name : e.name();
    if (e.categories_size() > 0) event_.category = e.categories(0);
    event_.value = static_cast<double>(e.counter_value());
    if (track.bytes) event_.bytes = e.counter_value();
    for (const pb::DebugAnnotation& a : e.debug_annotations()) annotate(a);
    onEvent_(event_);
    for (uint64_t id : e.flow_ids()) flow(Kind::flowBegin, id);
    for (uint64_t id : e.terminating_flow_ids()) flow(Kind::flowEnd, id);
  }
  void annotate(const pb::DebugAnnotation& a) {
    if (a.name() == "phase") event_.phase = a.string_value();
    if (a.name() == "micro_batch") event_.microBatch = a.int_value();
    if (a.name() == "chunk") event_.chunk = a.int_value();
    if (a.name() == "bytes") event_.bytes = a.int_value();
  }
  void flow(Kind kind, uint64_t id) {
    event_.kind = kind;
    event_.flow = id;
    onEvent_(event_);
  }

  const OnTraceEvent& onEvent_;
  std::map<uint64_t, Track> tracks_;
  TraceEvent event_;
  bool sawEvents_ = false;
};

[[noreturn]] void refuse(const std::string& path, size_t at) {
  throw Error(ErrorKind::input, "is no Perfetto trace, or ends early",
              "give a .pftrace that meshplan wrote, or a trace in Chrome's JSON")
      .at(fmt::format("byte {}", at))
      .inFile(path);
}

}  // namespace

void readPerfettoEvents(const std::string& path, const OnTraceEvent& onEvent) {
  constexpr uint8_t kPacket = 0x0a;  // field 1 of Trace, length-delimited
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  Reader reader(onEvent);
  pb::TracePacket packet;
  for (size_t at = 0; at < bytes.size();) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data() + at);
    google::protobuf::io::CodedInputStream in(
        data, static_cast<int>(std::min<size_t>(bytes.size() - at, INT32_MAX)));
    uint8_t tag = 0;
    uint32_t length = 0;
    if (!in.ReadRaw(&tag, 1) || tag != kPacket || !in.ReadVarint32(&length)) refuse(path, at);
    const size_t from = at + static_cast<size_t>(in.CurrentPosition());
    if (length > bytes.size() - from ||
        !packet.ParseFromArray(bytes.data() + from, static_cast<int>(length)))
      refuse(path, at);
    reader.read(packet);
    at = from + length;
  }
  if (!reader.sawEvents())
    throw Error(ErrorKind::input, "holds no slices",
                "give a trace of a step; traces that refer to their names by number are not read")
        .inFile(path);
}

}  // namespace meshplan
