// SPDX-License-Identifier: Apache-2.0
#include "gui/models/mesh_cells.h"

#include <QCoreApplication>
#include <algorithm>

#include "core/collective.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("MeshCells", text);
}

QString chunkText(const TrainingModel& model, const Plan& plan, int64_t chunk) {
  const auto first = static_cast<size_t>(plan.chunkStarts[static_cast<size_t>(chunk)]);
  const auto last = static_cast<size_t>(plan.chunkStarts[static_cast<size_t>(chunk) + 1]) - 1;
  const auto name = [&](size_t block) {
    return text(blockName(model.graph, model.chain.blocks[block]));
  };
  if (first == last) return name(first);
  return tr("%1 to %2").arg(name(first), name(last));
}

/// Experts exchange along a part of the data axis.
MeshAxis axisOf(MeshAxes axes) {
  if (axes.has(MeshAxis::pipeline)) return MeshAxis::pipeline;
  return axes.has(MeshAxis::tensor) ? MeshAxis::tensor : MeshAxis::data;
}

constexpr std::pair<MeshAxis, MeshAxes> kGroups[] = {
    {MeshAxis::tensor, MeshAxis::tensor},
    {MeshAxis::data, MeshAxis::data | MeshAxis::expert},
    {MeshAxis::pipeline, MeshAxis::pipeline}};

/// What a rank of a stage puts on the wire in a step, by axis.
std::array<double, kMeshAxes> sentBy(const Program& program, const RankClass& rankClass) {
  std::vector<std::array<double, kMeshAxes>> routines(program.routines.size());
  for (size_t r = 0; r < routines.size(); ++r)
    for (const Instruction& in : program.routines[r].instructions) {
      if (in.kind == Instruction::Kind::send)
        routines[r][size_t(MeshAxis::pipeline)] += static_cast<double>(in.bytes.value);
      if (in.kind == Instruction::Kind::collective)
        routines[r][size_t(axisOf(in.axes))] += wireBytes(
            in.collective, static_cast<double>(in.bytes.value), program.mesh.size(in.axes));
    }
  std::array<double, kMeshAxes> sum{};
  for (const Call& call : rankClass.calls)
    for (size_t a = 0; a < sum.size(); ++a) sum[a] += routines[call.routine][a];
  return sum;
}

QString slowestLink(const Cluster& cluster, DeviceId from, DeviceId to) {
  const std::vector<LinkId> route = cluster.route(from, to);
  const auto slowest = std::min_element(route.begin(), route.end(), [&](LinkId a, LinkId b) {
    return cluster.bandwidth(a) < cluster.bandwidth(b);
  });
  return slowest == route.end() ? QString() : text(cluster.linkSpec(*slowest).name);
}

}  // namespace

MeshCells::MeshCells(const ShownPlan& shown)
    : document_(shown.document), mesh_(shown.report.plan.mesh) {
  const Document& document = *shown.document;
  const Cluster& cluster = document.cluster();
  const DeviceMesh mesh(cluster, mesh_);
  device_ = text(cluster.specs().front().name);
  for (size_t n = 0; n < cluster.nodeCount(); ++n)
    nodeNames_.push_back(text(cluster.nodeName(NodeId(n))));
  for (int64_t r = 0; r < mesh_.ranks(); ++r)
    nodes_.push_back(cluster.devices()[mesh.device(r).index()].node.value);
  const Plan& plan = shown.report.plan;
  const double limit = static_cast<double>(document.context().memoryLimit.value);
  for (int64_t s = 0; s < mesh_.pipeline; ++s) {
    const RankClassSummary& summary = shown.simulated.timeline.rankClasses[static_cast<size_t>(s)];
    Stage stage;
    for (int64_t v = 0; v < plan.virtualStages; ++v)
      stage.blocks +=
          (v > 0 ? ", " : "") + chunkText(document.model(), plan, s + v * mesh_.pipeline);
    stage.peak = summary.peak;
    stage.byCategory = summary.peakByCategory;
    stage.memory = static_cast<double>(summary.peak.value) / limit;
    const Seconds step = shown.simulated.timeline.stepTime;
    stage.busy = (summary.time.compute + summary.time.optimizer) / step;
    stage.idle = summary.time.bubble / step;
    stage.sent = sentBy(shown.simulated.program,
                        shown.simulated.program.rankClasses[static_cast<size_t>(s)]);
    stages_.push_back(std::move(stage));
  }
}

double MeshCells::value(int64_t rank, ColourBy by) const {
  const Stage& stage = stages_[static_cast<size_t>(row(rank))];
  switch (by) {
    case ColourBy::memory:
      return stage.memory;
    case ColourBy::busy:
      return stage.busy;
    case ColourBy::idle:
      return stage.idle;
    default:
      return rows() <= 1 ? 0.5 : static_cast<double>(row(rank)) / static_cast<double>(rows() - 1);
  }
}

QString MeshCells::stageText(int64_t stage) const {
  return tr("stage %1: %2").arg(stage).arg(stages_[static_cast<size_t>(stage)].blocks);
}

QString MeshCells::toolTip(int64_t rank) const {
  const Stage& stage = stages_[static_cast<size_t>(row(rank))];
  const MeshCoordinates c = mesh_.coordinates(rank);
  QString tip = tr("<b>rank %1</b>, %2 on %3<br>%4<br>data %5, tensor %6")
                    .arg(rank)
                    .arg(device_, nodeNames_[node(rank)], stageText(row(rank)))
                    .arg(c[size_t(MeshAxis::data)])
                    .arg(c[size_t(MeshAxis::tensor)]);
  if (mesh_.expert > 1) tip += tr(", expert %1").arg(c[size_t(MeshAxis::expert)]);
  tip +=
      tr("<br>computes %1, idle %2<br>memory %3 (%4 of the limit)")
          .arg(percent(stage.busy), percent(stage.idle), text(stage.peak), percent(stage.memory));
  for (int i = 0; i < kMemoryCategories; ++i)
    if (const Bytes b = stage.byCategory[static_cast<size_t>(i)]; b.value > 0)
      tip += QStringLiteral("<br>&nbsp;&nbsp;%1 %2")
                 .arg(term(memoryCategoryName(MemoryCategory(i))), text(b));
  return tip + linksText(rank);
}

std::vector<MeshLink> MeshCells::links(int64_t rank) const {
  std::vector<MeshLink> links;
  const DeviceMesh mesh(document_->cluster(), mesh_);
  for (const auto& [axis, axes] : kGroups) {
    if (mesh_.size(axes) < 2) continue;
    MeshLink link{axis, mesh.group(axes, rank), Bytes(0), {}, false};
    int64_t other = link.ranks[link.ranks.front() == rank ? 1 : 0];
    for (int64_t r : link.ranks)
      if (!link.leavesNode && node(r) != node(rank)) {
        link.leavesNode = true;
        other = r;
      }
    link.sent = Bytes(static_cast<int64_t>(stages_[size_t(row(rank))].sent[size_t(axis)]));
    link.over = slowestLink(document_->cluster(), mesh.device(rank), mesh.device(other));
    links.push_back(std::move(link));
  }
  return links;
}

QString MeshCells::linksText(int64_t rank) const {
  QString lines;
  for (const MeshLink& link : links(rank))
    lines += tr("<br>%1: sends %2 a step among %3 ranks, over %4")
                 .arg(text(meshAxisName(link.axis)), text(link.sent))
                 .arg(link.ranks.size())
                 .arg(link.over);
  return lines;
}

}  // namespace meshplan::gui
