// SPDX-License-Identifier: Apache-2.0
#include "gui/models/trace_scene.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <unordered_map>

#include "core/error.h"
#include "gui/models/trace_program.h"
#include "profiles/chrome_events.h"

namespace meshplan::gui {
namespace {

using Kind = TraceEvent::Kind;

constexpr size_t kMostProcesses = 65535;
constexpr size_t kMostLevels = 12;
constexpr int64_t kLeastBubble = 1;  // ns

struct RawSpan {
  int64_t begin = 0, end = 0;
  TraceProgram::Place place;
};
struct Thread {
  size_t process = 0;
  std::string name;
  double order = 0;
  std::vector<RawSpan> spans;
  std::vector<RawSpan> open;  // begun and not ended, outermost first
};
struct Process {
  std::string name, memoryName;
  double order = 0;
  std::vector<std::pair<int64_t, Bytes>> memory;
};
struct FlowEnd {
  uint64_t id = 0;
  size_t thread = 0;
  int64_t time = 0;
  bool begins = false;
};
struct Lane {
  size_t process = 0, thread = 0, level = 0;
  std::vector<RawSpan> spans;
};

bool countsMemory(const TraceEvent& event) {
  if (event.bytes >= 0) return true;
  std::string name = event.name;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name.find("memory") != std::string::npos;
}

bool isStream(const std::string& threadName, Stream stream) {
  const std::string_view name = streamName(stream);
  return threadName == name || threadName.starts_with(std::string(name) + " · ");
}

/// Of Meshplan's tracks by their names, of others by what is on them.
Stream streamOf(const Thread& thread, const Lane& lane) {
  for (int s = 0; s < kStreams; ++s)
    if (isStream(thread.name, Stream(s))) return Stream(s);
  const bool exchanges = std::all_of(lane.spans.begin(), lane.spans.end(), [](const RawSpan& s) {
    return s.place.kind == SpanKind::collective || s.place.kind == SpanKind::transfer;
  });
  return exchanges ? Stream::data : Stream::compute;
}

/// The spans of a thread by how deep they are inside others.
std::vector<Lane> lanesOf(const Thread& thread, size_t number) {
  std::vector<RawSpan> spans = thread.spans;
  const auto earlier = [](const RawSpan& a, const RawSpan& b) {
    const bool aTakes = a.end > a.begin, bTakes = b.end > b.begin;
    if (a.begin != b.begin) return a.begin < b.begin;
    return aTakes && bTakes ? a.end > b.end : aTakes < bTakes;
  };
  if (!std::is_sorted(spans.begin(), spans.end(), earlier))
    std::stable_sort(spans.begin(), spans.end(), earlier);
  std::vector<Lane> lanes;
  std::vector<int64_t> ends;
  for (const RawSpan& s : spans) {
    while (!ends.empty() && ends.back() <= s.begin) ends.pop_back();
    const size_t level = std::min(ends.size(), kMostLevels - 1);
    while (lanes.size() <= level) lanes.push_back({thread.process, number, lanes.size(), {}});
    lanes[level].spans.push_back(s);
    if (s.end > s.begin) ends.push_back(s.end);
  }
  return lanes;
}

}  // namespace

struct TraceSceneBuilder::Parts {
  std::vector<Process> processes;
  std::vector<Thread> threads;
  std::unordered_map<std::string, size_t> processIndex, threadIndex;
  std::string lastProcess, lastThread, key;
  size_t lastIndex = SIZE_MAX;
  TraceProgram program;
  std::vector<FlowEnd> flows;
  int64_t first = INT64_MAX, last = INT64_MIN;

  size_t processOf(const TraceEvent& e) {
    const auto [found, isNew] = processIndex.try_emplace(e.process, processes.size());
    if (isNew) {
      if (processes.size() == kMostProcesses)
        throw Error(ErrorKind::input, "has more than 65,535 processes", "split the trace");
      processes.push_back({e.process, {}, static_cast<double>(processes.size()), {}});
    }
    return found->second;
  }
  size_t threadOf(const TraceEvent& e) {
    if (lastIndex != SIZE_MAX && e.thread == lastThread && e.process == lastProcess)
      return lastIndex;
    key = e.process + '\n' + e.thread;
    const auto [found, isNew] = threadIndex.try_emplace(key, threads.size());
    if (isNew)
      threads.push_back({processOf(e), e.thread, static_cast<double>(threads.size()), {}, {}});
    lastProcess = e.process;
    lastThread = e.thread;
    return lastIndex = found->second;
  }

  void see(int64_t time) {
    first = std::min(first, time);
    last = std::max(last, time);
  }
  RawSpan spanOf(const TraceEvent& e, const Thread& thread) {
    return {e.begin, e.begin + std::max<int64_t>(0, e.duration),
            program.placeOf(e, thread.process)};
  }
  void slice(const TraceEvent& e) {
    Thread& thread = threads[threadOf(e)];
    thread.spans.push_back(spanOf(e, thread));
    see(e.begin), see(thread.spans.back().end);
  }
  void begin(const TraceEvent& e) {
    Thread& thread = threads[threadOf(e)];
    thread.open.push_back(spanOf(e, thread));
    see(e.begin);
  }
  void end(const TraceEvent& e) {
    Thread& thread = threads[threadOf(e)];
    if (thread.open.empty()) return;
    RawSpan span = thread.open.back();
    thread.open.pop_back();
    span.end = std::max(span.begin, e.begin);
    thread.spans.push_back(span);
    see(span.end);
  }
  void counter(const TraceEvent& e) {
    if (!countsMemory(e)) return;
    Process& process = processes[processOf(e)];
    if (process.memoryName.empty()) process.memoryName = e.name;
    if (process.memoryName == e.name)
      process.memory.push_back({e.begin, Bytes(e.bytes >= 0 ? e.bytes : int64_t(e.value))});
  }
  void flow(const TraceEvent& e) {
    if (e.category == "transfer")
      flows.push_back({e.flow, threadOf(e), e.begin, e.kind == Kind::flowBegin});
  }

  int64_t origin() const { return first > last - first ? first : 0; }
  std::vector<size_t> processOrder() const;
  std::vector<Lane> lanes(const std::vector<size_t>& rank) const;
  void addTracks(TimelineScene& scene, Timeline& timeline, const std::vector<Lane>& lanes,
                 const std::vector<size_t>& rank) const;
  void addMemory(TimelineScene& scene, Timeline& timeline, const std::vector<size_t>& rank) const;
  void addFlows(TimelineScene& scene, const std::vector<Lane>& lanes) const;
  Seconds seconds(int64_t t) const { return Seconds(static_cast<double>(t - origin()) * 1e-9); }
};

TraceSceneBuilder::TraceSceneBuilder() : parts_(std::make_unique<Parts>()) {}
TraceSceneBuilder::~TraceSceneBuilder() = default;

void TraceSceneBuilder::add(const TraceEvent& e) {
  switch (e.kind) {
    case Kind::slice:
      return parts_->slice(e);
    case Kind::begin:
      return parts_->begin(e);
    case Kind::end:
      return parts_->end(e);
    case Kind::counter:
      return parts_->counter(e);
    case Kind::processName:
      parts_->processes[parts_->processOf(e)].name = e.name;
      return;
    case Kind::threadName:
      parts_->threads[parts_->threadOf(e)].name = e.name;
      return;
    case Kind::processOrder:
      parts_->processes[parts_->processOf(e)].order = e.value;
      return;
    case Kind::threadOrder:
      parts_->threads[parts_->threadOf(e)].order = e.value;
      return;
    case Kind::flowBegin:
    case Kind::flowEnd:
      return parts_->flow(e);
  }
}

/// By process, its place among those that have slices; SIZE_MAX for the others.
std::vector<size_t> TraceSceneBuilder::Parts::processOrder() const {
  std::vector<bool> used(processes.size());
  for (const Thread& t : threads)
    if (!t.spans.empty()) used[t.process] = true;
  std::vector<size_t> order;
  for (size_t p = 0; p < processes.size(); ++p)
    if (used[p]) order.push_back(p);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return processes[a].order < processes[b].order; });
  std::vector<size_t> rank(processes.size(), SIZE_MAX);
  for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = i;
  return rank;
}

std::vector<Lane> TraceSceneBuilder::Parts::lanes(const std::vector<size_t>& rank) const {
  std::vector<size_t> order;
  for (size_t t = 0; t < threads.size(); ++t)
    if (!threads[t].spans.empty()) order.push_back(t);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const Thread &x = threads[a], &y = threads[b];
    return x.process != y.process ? rank[x.process] < rank[y.process] : x.order < y.order;
  });
  std::vector<Lane> out;
  for (size_t t : order)
    for (Lane& lane : lanesOf(threads[t], t)) out.push_back(std::move(lane));
  return out;
}

void TraceSceneBuilder::Parts::addTracks(TimelineScene& scene, Timeline& timeline,
                                         const std::vector<Lane>& lanes,
                                         const std::vector<size_t>& rank) const {
  struct Placed {
    const RawSpan* span;
    uint32_t lane;
  };
  std::vector<Placed> order;
  for (size_t l = 0; l < lanes.size(); ++l)
    for (const RawSpan& s : lanes[l].spans) order.push_back({&s, uint32_t(l)});
  std::stable_sort(order.begin(), order.end(),
                   [](const Placed& a, const Placed& b) { return a.span->begin < b.span->begin; });
  std::vector<Track> tracks(lanes.size());
  std::vector<int64_t> reached(lanes.size(), origin());
  std::vector<uint8_t> own(lanes.size());
  for (size_t l = 0; l < lanes.size(); ++l) {
    const Thread& thread = threads[lanes[l].thread];
    tracks[l].rankClass = uint16_t(rank[lanes[l].process]);
    tracks[l].stream = streamOf(thread, lanes[l]);
    tracks[l].spans.reserve(lanes[l].spans.size());
    own[l] = isStream(thread.name, Stream::compute);
    const std::string level = lanes[l].level == 0 ? "" : " ↳ " + std::to_string(lanes[l].level);
    scene.trackNames.push_back(QString::fromStdString(thread.name + level));
  }
  timeline.spans.reserve(order.size());
  for (const auto& [raw, l] : order) {
    Track& track = tracks[l];
    const Seconds begin = seconds(raw->begin), end = seconds(raw->end);
    if (own[l] && raw->begin - reached[l] >= kLeastBubble)
      track.spans.add(seconds(reached[l]).value, begin.value, SpanKind::bubble, Track::kBubble);
    reached[l] = std::max(reached[l], raw->end);
    if (own[l]) addCallBlock(track, raw->place.call, begin.value, end.value);
    track.spans.add(begin.value, end.value, raw->place.kind, uint32_t(timeline.spans.size()));
    timeline.spans.push_back({track.rankClass, track.stream, raw->place.instructionKind,
                              raw->place.call, raw->place.instruction, begin, end});
  }
  timeline.stepTime = seconds(last);
  for (size_t l = 0; l < lanes.size(); ++l) {
    if (own[l] && last - reached[l] >= kLeastBubble)
      tracks[l].spans.add(seconds(reached[l]).value, timeline.stepTime.value, SpanKind::bubble,
                          Track::kBubble);
    tracks[l].spans.finish();
  }
  scene.tracks = TimelineTracks(std::move(tracks), timeline.stepTime.value);
}

void TraceSceneBuilder::Parts::addMemory(TimelineScene& scene, Timeline& timeline,
                                         const std::vector<size_t>& rank) const {
  for (size_t p = 0; p < processes.size(); ++p) {
    if (rank[p] == SIZE_MAX) continue;
    RankClassSummary& summary = timeline.rankClasses[rank[p]];
    for (const auto& [time, bytes] : processes[p].memory) {
      summary.memory.push_back({seconds(time), bytes});
      if (bytes > summary.peak) summary.peak = bytes, summary.peakTime = seconds(time);
    }
    std::stable_sort(summary.memory.begin(), summary.memory.end(),
                     [](const MemoryPoint& a, const MemoryPoint& b) { return a.time < b.time; });
    scene.classNames[rank[p]] = QString::fromStdString(processes[p].name);
  }
  for (const RankClassSummary& c : timeline.rankClasses) scene.memory.emplace_back(c.memory);
}

void TraceSceneBuilder::Parts::addFlows(TimelineScene& scene,
                                        const std::vector<Lane>& lanes) const {
  std::unordered_map<size_t, size_t> trackOf;  // of a thread's outermost level
  for (size_t l = 0; l < lanes.size(); ++l)
    if (lanes[l].level == 0) trackOf[lanes[l].thread] = l;
  const auto placeOf = [&](const FlowEnd& f) -> std::optional<SpanPlace> {
    const auto track = trackOf.find(f.thread);
    if (track == trackOf.end()) return {};
    const SpanTrack& spans = scene.tracks.tracks()[track->second].spans;
    const size_t at = spans.at(seconds(f.time).value + 1e-10);
    if (at == spans.size()) return {};
    return SpanPlace{track->second, at};
  };
  std::unordered_map<uint64_t, SpanPlace> begun;
  for (const FlowEnd& f : flows)
    if (const auto place = placeOf(f); place && f.begins) begun[f.id] = *place;
  for (const FlowEnd& f : flows) {
    const auto from = begun.find(f.id);
    if (f.begins || from == begun.end()) continue;
    if (const auto to = placeOf(f))
      scene.flows.push_back({from->second, *to, scene.start(from->second), scene.end(*to)});
  }
  std::sort(scene.flows.begin(), scene.flows.end(),
            [](const Flow& a, const Flow& b) { return a.begin < b.begin; });
}

std::shared_ptr<const TimelineScene> TraceSceneBuilder::scene() {
  if (parts_->first > parts_->last)
    throw Error(ErrorKind::input, "holds no slices", "give a timeline with at least one");
  struct Behind {
    Program program;
    Graph graph;
    Timeline timeline;
  };
  auto behind = std::make_shared<Behind>();
  auto scene = std::make_shared<TimelineScene>();
  const std::vector<size_t> rank = parts_->processOrder();
  const auto classes = static_cast<size_t>(
      std::count_if(rank.begin(), rank.end(), [](size_t r) { return r != SIZE_MAX; }));
  if (classes == 0)
    throw Error(ErrorKind::input, "holds no slice that ends", "give the whole timeline");
  behind->program = parts_->program.program(rank, classes);
  behind->graph = parts_->program.graph();
  behind->timeline.rankClasses.resize(classes);
  scene->program = &behind->program;
  scene->graph = &behind->graph;
  scene->timeline = &behind->timeline;
  scene->classNames.resize(classes);
  scene->ranks.resize(classes);
  const std::vector<Lane> lanes = parts_->lanes(rank);
  parts_->addTracks(*scene, behind->timeline, lanes, rank);
  parts_->addMemory(*scene, behind->timeline, rank);
  parts_->addFlows(*scene, lanes);
  scene->otherOwner = std::move(behind);
  return scene;
}

bool isPerfettoTrace(const std::string& path) {
  constexpr char kPacket = 0x0a;  // which is a line feed, too
  std::ifstream in(path, std::ios::binary);
  char head[2] = {};
  if (!in.read(head, 2) || head[0] != kPacket) return false;
  return std::string_view(" \n\r\t{[").find(head[1]) == std::string_view::npos;
}

std::shared_ptr<const TimelineScene> readTraceScene(const std::string& path) {
  TraceSceneBuilder builder;
  const auto add = [&](const TraceEvent& e) { builder.add(e); };
  if (isPerfettoTrace(path))
    readPerfettoEvents(path, add);
  else
    readChromeEvents(path, add);
  try {
    return builder.scene();
  } catch (const Error& error) {
    throw error.inFile(path);
  }
}

}  // namespace meshplan::gui
