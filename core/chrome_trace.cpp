// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "core/trace_slices.h"

namespace meshplan {
namespace {

using Json = nlohmann::ordered_json;

double microseconds(int64_t nanoseconds) {
  return double(nanoseconds) / 1000;
}

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

  void slice(const TraceSlice& s) {
    const int32_t pid = traceProcessId(s.lane.rankClass), tid = traceThreadId(s.lane);
    add({{"ph", "X"},
         {"name", s.name},
         {"cat", s.category},
         {"pid", pid},
         {"tid", tid},
         {"ts", microseconds(s.begin)},
         {"dur", microseconds(s.end - s.begin)},
         {"args", arguments(s)}});
    if (s.flow == 0) return;
    Json flow{{"ph", s.flowEnds ? "f" : "s"},
              {"name", "transfer"},
              {"cat", "transfer"},
              {"id", s.flow},
              {"pid", pid},
              {"tid", tid},
              {"ts", microseconds(s.begin)}};
    if (s.flowEnds) flow["bp"] = "e";
    add(flow);
  }

 private:
  static Json arguments(const TraceSlice& s) {
    Json args{{"phase", s.phase}, {"micro_batch", s.microBatch}, {"chunk", s.chunk}};
    if (!s.operatorName.empty()) args["operator"] = s.operatorName;
    if (s.bytes > 0) args["bytes"] = s.bytes;
    if (s.predicted) args["predicted_us"] = microseconds(traceNanoseconds(Seconds(*s.predicted)));
    if (s.error) args["error_percent"] = std::round(*s.error * 1e4) / 100;
    return args;
  }

  std::ostream& out_;
  bool first_ = true;
};

}  // namespace

void writeChromeTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                      const Graph& graph) {
  writeChromeTrace(out, program, TracedTimelines{{&timeline, ""}}, graph);
}

void writeChromeTrace(std::ostream& out, const Program& program, const TracedTimelines& timelines,
                      const Graph& graph) {
  ChromeWriter writer(out);
  for (size_t c = 0; c < program.rankClasses.size(); ++c) {
    writer.metadata("process_name", traceProcessId(c), 0,
                    {{"name", traceProcessName(program.rankClasses[c])}});
    writer.metadata("process_sort_index", traceProcessId(c), 0, {{"sort_index", c}});
  }
  const TraceSlices slices(program, timelines, graph);
  for (const TraceLane& lane : slices.lanes()) {
    const int32_t pid = traceProcessId(lane.rankClass), tid = traceThreadId(lane);
    writer.metadata("thread_name", pid, tid, {{"name", traceLaneName(lane, timelines)}});
    writer.metadata("thread_sort_index", pid, tid,
                    {{"sort_index", lane.stream * timelines.size() + lane.timeline}});
  }
  slices.each([&](const TraceSlice& s) { writer.slice(s); });
  for (const TracedTimeline& t : timelines)
    for (size_t c = 0; c < t.timeline->rankClasses.size(); ++c)
      for (const MemoryPoint& p : t.timeline->rankClasses[c].memory)
        writer.add({{"ph", "C"},
                    {"name", traceMemoryName(t)},
                    {"pid", traceProcessId(c)},
                    {"ts", microseconds(traceNanoseconds(p.time))},
                    {"args", {{"bytes", p.bytes.value}}}});
}

}  // namespace meshplan
