// SPDX-License-Identifier: Apache-2.0
#include "core/trace_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/perfetto_trace.pb.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

struct Example {
  Program program;
  Timeline timeline;
  Graph graph;
};

Span span(const Program& p, uint16_t rankClass, uint32_t call, uint32_t i, double start,
          double end) {
  const Instruction& in = p.routines[p.rankClasses[rankClass].calls[call].routine].instructions[i];
  return {rankClass, in.stream, in.kind, call, i, Seconds(start), Seconds(end)};
}

// Two stages that exchange an activation and its gradient; the graph has one operator with a name
// to escape.
Example example() {
  Example e;
  e.program = parseProgram(R"(
    routine F0 forward 0: compute 1; send 0 after 0 to 1 boundary 0 bytes 64
    routine F1 forward 1: receive 0 from 0 boundary 0 bytes 64; compute 1 after 0; tensor 0.5 after 1
    routine B1 backward 1: compute 1 recomputed; compute 2; send 0.25 after 1 to 0 boundary 1 reverse bytes 32
    routine B0 backward 0: receive 0 from 1 boundary 1 reverse bytes 32; compute 2 after 0
    stage 0 x8: F0 B0
    stage 1 x8: F1 B1
  )")
                  .program;
  Operator op;
  op.name = "block \"0\"/fc";
  e.program.routines[0].instructions[0].op = e.graph.addOperator(op);
  const Program& p = e.program;
  e.timeline.spans = {span(p, 0, 0, 0, 0, 1),    span(p, 0, 0, 1, 1, 1),
                      span(p, 1, 0, 0, 1, 1),    span(p, 1, 0, 1, 1, 2),
                      span(p, 1, 0, 2, 2, 2.5),  span(p, 1, 1, 0, 2, 3),
                      span(p, 1, 1, 1, 3, 5),    span(p, 0, 1, 0, 5, 5.25),
                      span(p, 1, 1, 2, 5, 5.25), span(p, 0, 1, 1, 5.25, 7.25)};
  e.timeline.stepTime = Seconds(7.25);
  e.timeline.rankClasses.resize(2);
  e.timeline.rankClasses[1].memory = {
      {Seconds(0), Bytes(10)}, {Seconds(1), Bytes(30)}, {Seconds(5), Bytes(20)}};
  return e;
}

json chrome(const Example& e) {
  std::ostringstream out;
  writeChromeTrace(out, e.program, e.timeline, e.graph);
  return json::parse(out.str());
}

perfetto::Trace perfettoTrace(const Example& e) {
  std::ostringstream out;
  writePerfettoTrace(out, e.program, e.timeline, e.graph);
  perfetto::Trace trace;
  EXPECT_TRUE(trace.ParseFromString(out.str()));
  return trace;
}

std::vector<json> eventsOf(const json& trace, const std::string& phase) {
  std::vector<json> out;
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == phase) out.push_back(event);
  return out;
}

TEST(ChromeTrace, HasAProcessPerRankClassAndATrackPerUsedStream) {
  std::vector<std::string> processes, threads;
  for (const json& m : eventsOf(chrome(example()), "M")) {
    if (m.at("name") == "process_name") processes.push_back(m.at("args").at("name"));
    if (m.at("name") == "thread_name") threads.push_back(m.at("args").at("name"));
  }
  EXPECT_THAT(processes, ElementsAre("stage 0 · ranks 8", "stage 1 · ranks 8"));
  EXPECT_THAT(threads,
              ElementsAre("compute", "send", "receive", "compute", "tensor", "send", "receive"));
}

TEST(ChromeTrace, SlicesOfATrackNeverOverlapAndCarryWhatTheyAre) {
  const Example e = example();
  std::map<int64_t, double> ended;
  const std::vector<json> slices = eventsOf(chrome(e), "X");
  ASSERT_EQ(slices.size(), e.timeline.spans.size());
  for (const json& s : slices) {
    double& end = ended[s.at("tid").get<int64_t>()];
    EXPECT_GE(s.at("ts").get<double>(), end);
    end = s.at("ts").get<double>() + s.at("dur").get<double>();
  }
  EXPECT_EQ(slices[0].at("name"), "block \"0\"/fc");
  EXPECT_EQ(slices[0].at("args").at("operator"), "block \"0\"/fc");
  EXPECT_EQ(slices[0].at("args").at("phase"), "forward");
  EXPECT_EQ(slices[0].at("dur"), 1e6);
  std::vector<std::string> names, phases;
  for (const json& s : slices) {
    names.push_back(s.at("name"));
    phases.push_back(s.at("args").at("phase"));
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"all-reduce tensor", "send to stage 1",
                                            "receive from stage 0", "recompute"}));
  EXPECT_THAT(phases, testing::Contains("recompute"));
}

TEST(ChromeTrace, EachSendFlowsToItsReceive) {
  const json trace = chrome(example());
  std::map<int64_t, int64_t> from, to;
  for (const json& f : eventsOf(trace, "s")) from[f.at("id")] = f.at("pid");
  for (const json& f : eventsOf(trace, "f")) {
    to[f.at("id")] = f.at("pid");
    EXPECT_EQ(f.at("bp"), "e");
  }
  ASSERT_EQ(from.size(), 2u);
  ASSERT_EQ(to.size(), 2u);
  for (const auto& [id, pid] : from) EXPECT_EQ(to.at(id), 3 - pid);
}

TEST(ChromeTrace, MemoryIsACounter) {
  std::vector<int64_t> bytes;
  for (const json& c : eventsOf(chrome(example()), "C")) {
    EXPECT_EQ(c.at("pid"), 2);
    bytes.push_back(c.at("args").at("bytes"));
  }
  EXPECT_THAT(bytes, ElementsAre(10, 30, 20));
}

TEST(PerfettoTrace, DescribesProcessesStreamsAndCounters) {
  const perfetto::Trace trace = perfettoTrace(example());
  std::vector<std::string> processes, threads, counters;
  std::map<uint64_t, uint64_t> parent;
  for (const perfetto::TracePacket& p : trace.packet()) {
    if (!p.has_track_descriptor()) continue;
    const perfetto::TrackDescriptor& t = p.track_descriptor();
    EXPECT_TRUE(parent.emplace(t.uuid(), t.parent_uuid()).second) << "a track described twice";
    if (t.has_process()) processes.push_back(t.process().process_name());
    if (t.has_thread()) threads.push_back(t.thread().thread_name());
    if (t.has_counter()) counters.push_back(t.name());
  }
  EXPECT_THAT(processes, ElementsAre("stage 0 · ranks 8", "stage 1 · ranks 8"));
  EXPECT_EQ(threads.size(), 7u);
  EXPECT_THAT(counters, ElementsAre("memory"));
  for (const auto& [uuid, up] : parent) EXPECT_TRUE(up == 0 || parent.contains(up));
}

// As trace readers do: by time, equal times in file order.
std::vector<perfetto::TracePacket> sortedEvents(const perfetto::Trace& trace) {
  std::vector<perfetto::TracePacket> events;
  for (const perfetto::TracePacket& p : trace.packet())
    if (p.has_track_event()) events.push_back(p);
  std::stable_sort(events.begin(), events.end(),
                   [](const auto& a, const auto& b) { return a.timestamp() < b.timestamp(); });
  return events;
}

TEST(PerfettoTrace, EverySliceEndsBeforeTheNextOfItsTrackBegins) {
  const Example e = example();
  std::map<uint64_t, int> depth;
  size_t begun = 0;
  for (const perfetto::TracePacket& p : sortedEvents(perfettoTrace(e))) {
    int& d = depth[p.track_event().track_uuid()];
    if (p.track_event().type() == perfetto::TrackEvent::TYPE_SLICE_BEGIN) ++d, ++begun;
    if (p.track_event().type() == perfetto::TrackEvent::TYPE_SLICE_END) --d;
    EXPECT_TRUE(d == 0 || d == 1);
  }
  for (const auto& [track, d] : depth) EXPECT_EQ(d, 0);
  EXPECT_EQ(begun, e.timeline.spans.size());
}

TEST(PerfettoTrace, FlowsStartAtTheSendAndEndAtTheReceive) {
  std::map<uint64_t, std::string> started;
  std::vector<std::string> pairs;
  for (const perfetto::TracePacket& p : sortedEvents(perfettoTrace(example()))) {
    for (uint64_t id : p.track_event().flow_ids()) started[id] = p.track_event().name();
    for (uint64_t id : p.track_event().terminating_flow_ids()) {
      ASSERT_TRUE(started.contains(id)) << "a receive before its send";
      pairs.push_back(started[id] + " | " + p.track_event().name());
    }
  }
  EXPECT_THAT(pairs, UnorderedElementsAre("send to stage 1 | receive from stage 0",
                                          "send to stage 0 | receive from stage 1"));
}

TEST(PerfettoTrace, MemoryIsACounterOfBytes) {
  std::vector<int64_t> bytes;
  for (const perfetto::TracePacket& p : sortedEvents(perfettoTrace(example())))
    if (p.track_event().type() == perfetto::TrackEvent::TYPE_COUNTER)
      bytes.push_back(p.track_event().counter_value());
  EXPECT_THAT(bytes, ElementsAre(10, 30, 20));
}

TEST(PerfettoTrace, IsSmallerThanTheJsonOne) {
  const Example e = example();
  std::ostringstream small, large;
  writePerfettoTrace(small, e.program, e.timeline, e.graph);
  writeChromeTrace(large, e.program, e.timeline, e.graph);
  EXPECT_LT(small.str().size() * 3 / 2, large.str().size());
}

// Both timelines of a comparison; the second takes twice as long, in the same order.
Timeline stretched(const Timeline& t) {
  Timeline out = t;
  out.stepTime *= 2;
  for (Span& s : out.spans) s.start *= 2, s.end *= 2;
  return out;
}

TEST(PairedTrace, EachStreamHasATrackForEitherTimelineOneBelowTheOther) {
  const Example e = example();
  const Timeline measured = stretched(e.timeline);
  std::ostringstream out;
  writeChromeTrace(out, e.program, {{&e.timeline, "predicted"}, {&measured, "measured"}}, e.graph);
  const json trace = json::parse(out.str());
  std::vector<std::string> threads;
  std::map<int64_t, int64_t> place;
  for (const json& m : eventsOf(trace, "M")) {
    if (m.at("name") == "thread_name" && m.at("pid") == 1)
      threads.push_back(m.at("args").at("name"));
    if (m.at("name") == "thread_sort_index")
      place[m.at("tid")] = m.at("args").at("sort_index").get<int64_t>();
  }
  EXPECT_THAT(threads, ElementsAre("compute · predicted", "compute · measured", "send · predicted",
                                   "send · measured", "receive · predicted", "receive · measured"));
  EXPECT_EQ(place.at(1'000'001), place.at(1'000'000) + 1);
  std::map<std::string, int> counters;
  for (const json& c : eventsOf(trace, "C")) ++counters[c.at("name")];
  EXPECT_THAT(counters, UnorderedElementsAre(std::pair("memory · predicted", 3),
                                             std::pair("memory · measured", 3)));
}

TEST(PairedTrace, MeasuredSlicesCarryTheirErrorAndPredictedOnesDoNot) {
  const Example e = example();
  const Timeline measured = stretched(e.timeline);
  std::ostringstream out;
  writeChromeTrace(out, e.program, {{&e.timeline, "predicted"}, {&measured, "measured"}}, e.graph);
  size_t withError = 0, slices = 0;
  for (const json& s : eventsOf(json::parse(out.str()), "X")) {
    ++slices;
    const json& args = s.at("args");
    EXPECT_EQ(args.contains("predicted_us"), s.at("tid").get<int64_t>() % 2 == 1);
    if (!args.contains("error_percent")) continue;
    ++withError;
    EXPECT_EQ(args.at("error_percent"), -50);
    EXPECT_EQ(args.at("predicted_us").get<double>() * 2, s.at("dur").get<double>());
  }
  EXPECT_EQ(slices, 2 * e.timeline.spans.size());
  // Of nothing that took no time is there a relative error.
  EXPECT_EQ(withError, e.timeline.spans.size() - 2);
}

TEST(PairedTrace, InPerfettosFormatHasTheSameSlicesAndFlowsOfItsOwnForEither) {
  const Example e = example();
  const Timeline measured = stretched(e.timeline);
  std::ostringstream out;
  writePerfettoTrace(out, e.program, {{&e.timeline, "predicted"}, {&measured, "measured"}},
                     e.graph);
  perfetto::Trace trace;
  ASSERT_TRUE(trace.ParseFromString(out.str()));
  std::map<uint64_t, std::string> tracks;
  for (const perfetto::TracePacket& p : trace.packet()) {
    if (!p.has_track_descriptor()) continue;
    const perfetto::TrackDescriptor& t = p.track_descriptor();
    EXPECT_TRUE(tracks.emplace(t.uuid(), t.thread().thread_name()).second);
  }
  size_t begun = 0, errors = 0;
  std::map<uint64_t, std::string> started, ended;
  for (const perfetto::TracePacket& p : trace.packet()) {
    if (p.track_event().type() != perfetto::TrackEvent::TYPE_SLICE_BEGIN) continue;
    ++begun;
    const std::string& track = tracks.at(p.track_event().track_uuid());
    for (const auto& a : p.track_event().debug_annotations())
      if (a.name() == "error_percent") {
        ++errors;
        EXPECT_EQ(a.double_value(), -50);
        EXPECT_THAT(track, HasSubstr("measured"));
      }
    for (uint64_t id : p.track_event().flow_ids()) started[id] = track;
    for (uint64_t id : p.track_event().terminating_flow_ids()) ended[id] = track;
  }
  EXPECT_EQ(begun, 2 * e.timeline.spans.size());
  EXPECT_EQ(errors, e.timeline.spans.size() - 2);
  ASSERT_EQ(started.size(), 4u);
  for (const auto& [id, track] : started)
    EXPECT_EQ(track.substr(track.find("·")), ended.at(id).substr(ended.at(id).find("·")));
}

TEST(PairedTrace, SlicesOfALaneAreCutWhereSpansOverlap) {
  Example e = example();
  Timeline measured = stretched(e.timeline);
  for (Span& s : measured.spans) s.start -= Seconds(std::min(0.5, s.start.value));
  std::ostringstream out;
  writeChromeTrace(out, e.program, {{&e.timeline, "predicted"}, {&measured, "measured"}}, e.graph);
  std::map<int64_t, double> ended;
  for (const json& s : eventsOf(json::parse(out.str()), "X")) {
    double& end = ended[s.at("tid").get<int64_t>()];
    EXPECT_GE(s.at("ts").get<double>(), end);
    end = s.at("ts").get<double>() + s.at("dur").get<double>();
  }
}

}  // namespace
}  // namespace meshplan
