// SPDX-License-Identifier: Apache-2.0
#include "gui/models/compared_step.h"

#include <QCoreApplication>
#include <algorithm>

#include "core/blocks.h"

namespace meshplan::gui {
namespace {

bool sameInstruction(const Instruction& a, const Instruction& b) {
  return a.kind == b.kind && a.stream == b.stream && a.op == b.op && a.recomputed == b.recomputed &&
         a.collective == b.collective && a.axes == b.axes && a.peerStage == b.peerStage;
}

bool sameRoutine(const Routine& a, const Routine& b) {
  return a.kind == b.kind &&
         std::equal(a.instructions.begin(), a.instructions.end(), b.instructions.begin(),
                    b.instructions.end(), sameInstruction);
}

bool sameCalls(const RankClass& a, const RankClass& b) {
  return std::equal(a.calls.begin(), a.calls.end(), b.calls.begin(), b.calls.end(),
                    [](const Call& x, const Call& y) {
                      return x.routine == y.routine && x.microBatch == y.microBatch;
                    });
}

}  // namespace

ComparedStep stepOf(std::shared_ptr<const ShownPlan> plan, const QString& name) {
  const ShownPlan* p = plan.get();
  const TrainingModel& model = p->document->model();
  return {name,
          std::move(plan),
          p,
          nullptr,
          false,
          &p->simulated.program,
          &model.graph,
          model.forwardOps,
          &p->simulated.timeline};
}

ComparedStep stepOf(std::shared_ptr<const Comparison> run, bool measured) {
  const Comparison* c = run.get();
  const TrainingModel& model = c->planning->training();
  const QString name = measured ? QCoreApplication::translate("ComparedStep", "run %1: measured")
                                : QCoreApplication::translate("ComparedStep", "run %1: predicted");
  return {name.arg(c->run.id),
          std::move(run),
          nullptr,
          c,
          measured,
          &c->program,
          &model.graph,
          model.forwardOps,
          measured ? &c->measured : &c->predicted};
}

EvidenceTable ComparedStep::evidence() const {
  if (plan) return EvidenceTable(plan->simulated.times);
  return run && !measured ? EvidenceTable(*run) : EvidenceTable();
}

size_t ComparedStep::slowestStage() const {
  if (plan) return plan->report.slowestStage;
  std::vector<double> busy(program->rankClasses.size());
  for (const Span& s : timeline->spans)
    if (s.stream == Stream::compute) busy[s.rankClass] += (s.end - s.start).value;
  return size_t(std::max_element(busy.begin(), busy.end()) - busy.begin());
}

bool sameModel(const ComparedStep& a, const ComparedStep& b) {
  if (a.graph == b.graph) return true;
  return a.forwardOps == b.forwardOps && a.graph->operatorCount() == b.graph->operatorCount() &&
         graphFingerprint(*a.graph, a.forwardOps) == graphFingerprint(*b.graph, b.forwardOps);
}

bool sameProgram(const Program& a, const Program& b) {
  return &a == &b || (std::equal(a.routines.begin(), a.routines.end(), b.routines.begin(),
                                 b.routines.end(), sameRoutine) &&
                      std::equal(a.rankClasses.begin(), a.rankClasses.end(), b.rankClasses.begin(),
                                 b.rankClasses.end(), sameCalls));
}

}  // namespace meshplan::gui
