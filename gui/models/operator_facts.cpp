// SPDX-License-Identifier: Apache-2.0
#include "gui/models/operator_facts.h"

#include <QCoreApplication>

#include "core/plan_shardings.h"
#include "gui/text.h"
#include "planner/local_operator.h"

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("OperatorFacts", text);
}

bool isSplit(const std::string& axis) {
  return !axis.empty() && axis != "replicated";
}

QString splitOf(const BlockSharding::Choice& choice) {
  QStringList parts;
  if (isSplit(choice.tensor)) parts << tr("tensor: %1").arg(text(choice.tensor));
  if (isSplit(choice.expert)) parts << tr("experts: %1").arg(text(choice.expert));
  return parts.join(", ");
}

}  // namespace

OperatorFacts::OperatorFacts(const ShownPlan& shown)
    : stages_(shown.document->model().forwardOps, 0),
      times_(shown.document->model().forwardOps),
      evidence_(shown.document->model().forwardOps),
      splits_(shown.document->model().forwardOps),
      stageCount_(shown.report.plan.mesh.pipeline),
      stepTime_(shown.simulated.timeline.stepTime) {
  addStages(shown);
  addTimes(shown);
  addSplits(shown);
}

void OperatorFacts::addStages(const ShownPlan& shown) {
  const Plan& plan = shown.report.plan;
  const BlockChain& chain = shown.document->model().chain;
  for (int64_t chunk = 0; chunk < plan.chunks(); ++chunk)
    for (int64_t b = plan.chunkStarts[size_t(chunk)]; b < plan.chunkStarts[size_t(chunk) + 1]; ++b)
      for (uint32_t i = chain.blocks[size_t(b)].begin; i < chain.blocks[size_t(b)].end; ++i)
        stages_[i] = static_cast<int32_t>(chunk % plan.mesh.pipeline);
}

void OperatorFacts::addTimes(const ShownPlan& shown) {
  const Program& program = shown.simulated.program;
  const Graph& graph = shown.document->model().graph;
  const EvidenceTable evidence(shown.simulated.times);
  for (const Span& s : shown.simulated.timeline.spans) {
    if (s.kind != Instruction::Kind::compute) continue;
    const Call& call = program.rankClasses[s.rankClass].calls[s.call];
    const OpId op = program.routines[call.routine].instructions[s.instruction].op;
    if (!op.valid()) continue;
    const Operator& node = graph.op(op);
    const OpId forward = node.phase == Phase::forward ? op : node.forward;
    if (!forward.valid() || forward.index() >= times_.size()) continue;
    times_[forward.index()] += s.end - s.start;
    evidence_[forward.index()].add((s.end - s.start).value,
                                   evidence.of(call.routine, s.instruction));
  }
}

void OperatorFacts::addSplits(const ShownPlan& shown) {
  const TrainingModel& model = shown.document->model();
  for (const BlockSharding& b : describeShardings(shown.report.plan, model.graph, model.chain))
    for (uint32_t block : b.blocks)
      for (size_t i = 0; i < b.choices.size(); ++i)
        splits_[model.chain.blocks[block].begin + i] = splitOf(b.choices[i]);
}

std::vector<int64_t> OperatorFacts::stagesOf(const std::vector<OpId>& operators) const {
  std::vector<bool> found(size_t(stageCount_), false);
  for (OpId op : operators) found[size_t(stage(op))] = true;
  std::vector<int64_t> stages;
  for (int64_t s = 0; s < stageCount_; ++s)
    if (found[size_t(s)]) stages.push_back(s);
  return stages;
}

QString OperatorFacts::shortSplit(OpId op) const {
  const QString tensor = glyph(op);
  return splitText(op).contains(',') || tensor.isEmpty() ? splitText(op) : tensor;
}

QString OperatorFacts::glyph(OpId op) const {
  const QString& split = splits_[op.index()];
  const qsizetype colon = split.indexOf(": ");
  return colon < 0 ? QString() : split.mid(colon + 2).section(',', 0, 0);
}

QString OperatorFacts::toolTip(const ShownPlan& shown, OpId op) const {
  const TrainingModel& model = shown.document->model();
  const Operator& node = model.graph.op(op);
  const Plan& plan = shown.report.plan;
  const StageMesh mesh{plan.mesh.tensor, plan.mesh.expert, plan.microBatch * plan.mesh.expert};
  const ScaledOperator scaled = scaleForward(model, op, mesh.samples);
  const LocalOperator local = localise(model, op, scaled, plan.strategies[op.index()], mesh, 0);
  QString tip = QStringLiteral("<b>%1</b> &nbsp;%2<br>").arg(text(node.name), text(node.def->name));
  tip += tr("stage %1").arg(stage(op));
  if (!splitText(op).isEmpty()) tip += ", " + splitText(op);
  for (size_t i = 0; i < local.inputs.size(); ++i)
    tip +=
        tr("<br>reads %1 of %2")
            .arg(text(shapeText(local.inputs[i].shape)), text(shapeText(scaled.inputs[i].shape)));
  for (size_t i = 0; i < local.outputs.size(); ++i)
    tip +=
        tr("<br>makes %1 of %2")
            .arg(text(shapeText(local.outputs[i].shape)), text(shapeText(scaled.outputs[i].shape)));
  const Estimate estimate = shown.document->context().cost.operatorTime(local.work);
  tip += tr("<br>forward %1, %2, %3 a micro-batch (%4)")
             .arg(text(flopsText(Flops(local.work.flops))),
                  text(Bytes(static_cast<int64_t>(local.work.bytes))), text(estimate.time),
                  evidenceText({estimate.provenance, estimate.uncertainty}));
  tip += tr("<br>%1 of the step (%2)").arg(text(time(op)), percent(time(op) / stepTime_));
  if (evidence(op).known()) tip += tr("<br>prediction: %1").arg(evidence(op).text());
  return tip;
}

}  // namespace meshplan::gui
