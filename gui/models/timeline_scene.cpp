// SPDX-License-Identifier: Apache-2.0
#include "gui/models/timeline_scene.h"

#include <algorithm>
#include <tuple>

namespace meshplan::gui {
namespace {

using Kind = Instruction::Kind;
using FlowKey = std::tuple<bool, int32_t, bool, int32_t>;

struct Transfer {
  FlowKey key;
  SpanPlace place;
  bool operator<(const Transfer& o) const { return key < o.key; }
};

std::vector<Transfer> transfersOf(const TimelineScene& scene, Kind kind) {
  std::vector<Transfer> out;
  for (size_t t = 0; t < scene.tracks.tracks().size(); ++t) {
    const Track& track = scene.tracks.tracks()[t];
    for (size_t i = 0; i < track.spans.size(); ++i) {
      if (track.spans.kind(i) != SpanKind::transfer) continue;
      const Span& s = *scene.span({t, i});
      const Instruction& in = scene.instruction(s);
      if (in.kind == kind)
        out.push_back(
            {{track.measured, in.boundary, in.backwardDirection, scene.call(s).microBatch},
             {t, i}});
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<Flow> flowsOf(const TimelineScene& scene) {
  const std::vector<Transfer> sends = transfersOf(scene, Kind::send);
  std::vector<Flow> flows;
  for (const Transfer& receive : transfersOf(scene, Kind::receive)) {
    const auto send = std::lower_bound(sends.begin(), sends.end(), receive);
    if (send == sends.end() || send->key != receive.key) continue;
    flows.push_back(
        {send->place, receive.place, scene.start(send->place), scene.end(receive.place)});
  }
  std::sort(flows.begin(), flows.end(),
            [](const Flow& a, const Flow& b) { return a.begin < b.begin; });
  return flows;
}

std::shared_ptr<TimelineScene> filled(const Program& program, const Graph& graph,
                                      const Timeline& timeline, const Timeline* measured) {
  auto scene = std::make_shared<TimelineScene>();
  scene->program = &program;
  scene->graph = &graph;
  scene->timeline = &timeline;
  scene->measured = measured;
  scene->tracks = TimelineTracks(program, timeline, measured);
  for (const RankClassSummary& c : timeline.rankClasses) scene->memory.emplace_back(c.memory);
  for (size_t c = 0; c < program.rankClasses.size(); ++c)
    scene->ranks.push_back(ranksOf(program, c));
  scene->flows = flowsOf(*scene);
  return scene;
}

// `wanted` is asked of (span, its index, whether it was measured) on tracks that `holds` some.
template <class Holds, class Wanted>
MarkedPlaces marked(const TimelineScene& scene, const Holds& holds, const Wanted& wanted) {
  MarkedPlaces out(scene.tracks.tracks().size());
  for (size_t t = 0; t < out.size(); ++t) {
    const Track& track = scene.tracks.tracks()[t];
    if (!holds(track)) continue;
    const std::vector<Span>& spans = (track.measured ? scene.measured : scene.timeline)->spans;
    for (size_t i = 0; i < track.spans.size(); ++i) {
      const uint32_t source = track.spans.source(i);
      if (source != Track::kBubble && wanted(spans[source], source, track.measured))
        out[t].push_back(uint32_t(i));
    }
  }
  return out;
}

}  // namespace

const Span* TimelineScene::span(const SpanPlace& p) const {
  const uint32_t source = track(p).spans.source(p.place);
  if (source == Track::kBubble) return nullptr;
  return &(track(p).measured ? measured : timeline)->spans[source];
}

OpId TimelineScene::forwardOperator(const Instruction& in) const {
  if (!trackNames.empty()) return {};
  if (in.kind != Kind::compute || !in.op.valid() || in.op.index() >= graph->operatorCount())
    return {};
  const Operator& op = graph->op(in.op);
  return op.phase == Phase::forward ? in.op : op.forward;
}

std::shared_ptr<const TimelineScene> sceneOf(std::shared_ptr<const ShownPlan> shown,
                                             std::shared_ptr<const Timeline> measured) {
  auto scene = filled(shown->simulated.program, shown->document->model().graph,
                      shown->simulated.timeline, measured.get());
  scene->evidence = EvidenceTable(shown->simulated.times);
  scene->owner = std::move(shown);
  scene->measuredOwner = std::move(measured);
  return scene;
}

std::shared_ptr<const TimelineScene> sceneOf(std::shared_ptr<const Comparison> run) {
  auto scene =
      filled(run->program, run->planning->training().graph, run->predicted, &run->measured);
  scene->evidence = EvidenceTable(*run);
  scene->otherOwner = std::move(run);
  return scene;
}

std::shared_ptr<const TimelineScene> sceneOf(const ComparedStep& step, size_t rankClass,
                                             const ComparedStep* twin, double stepTime) {
  auto scene = std::make_shared<TimelineScene>();
  scene->otherOwner = step.owner;
  scene->program = step.program;
  scene->graph = step.graph;
  scene->timeline = step.timeline;
  scene->tracks = TimelineTracks::ofStage(*step.program, *step.timeline, rankClass,
                                          twin ? twin->timeline : nullptr, stepTime);
  for (size_t c = 0; c < step.program->rankClasses.size(); ++c)
    scene->ranks.push_back(ranksOf(*step.program, c));
  scene->evidence = step.evidence();
  return scene;
}

std::shared_ptr<const TimelineScene> sceneOf(const Program& program, const Graph& graph,
                                             const Timeline& timeline, const Timeline* measured) {
  return filled(program, graph, timeline, measured);
}

MarkedPlaces placesOf(const TimelineScene& scene, const std::vector<OpId>& operators) {
  if (operators.empty()) return MarkedPlaces(scene.tracks.tracks().size());
  std::vector<std::vector<bool>> wanted;
  std::vector<uint8_t> streams;  // that have wanted instructions, by routine
  for (const Routine& routine : scene.program->routines) {
    wanted.emplace_back();
    streams.push_back(0);
    for (const Instruction& in : routine.instructions) {
      wanted.back().push_back(
          std::binary_search(operators.begin(), operators.end(), scene.forwardOperator(in)));
      if (wanted.back().back()) streams.back() |= streamBit(in.stream);
    }
  }
  return marked(
      scene,
      [&](const Track& track) {
        const std::vector<Call>& calls = scene.program->rankClasses[track.rankClass].calls;
        return std::any_of(calls.begin(), calls.end(), [&](const Call& call) {
          return streams[call.routine] & streamBit(track.stream);
        });
      },
      [&](const Span& s, uint32_t, bool) { return wanted[scene.call(s).routine][s.instruction]; });
}

MarkedPlaces criticalPlaces(const TimelineScene& scene) {
  if (!scene.trackNames.empty()) return MarkedPlaces(scene.tracks.tracks().size());
  std::vector<bool> critical(scene.timeline->spans.size());
  for (size_t i : criticalPath(*scene.program, *scene.timeline)) critical[i] = true;
  return marked(
      scene, [](const Track& track) { return !track.measured; },
      [&](const Span&, uint32_t source, bool) { return critical[source]; });
}

}  // namespace meshplan::gui
