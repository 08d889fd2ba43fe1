// SPDX-License-Identifier: Apache-2.0
#include "cli/critical_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "app/human.h"
#include "cli/table.h"
#include "core/instruction_names.h"

namespace meshplan {
namespace {

constexpr size_t kMostRows = 12;
constexpr int kBarWidth = 24;

const Instruction& instructionOf(const Program& program, const Span& span) {
  const Call& call = program.rankClasses[span.rankClass].calls[span.call];
  return program.routines[call.routine].instructions[span.instruction];
}

std::string nameOf(const Instruction& in, const Graph& graph) {
  switch (in.kind) {
    case Instruction::Kind::collective:
      return fmt::format("{} over {}", collectiveName(in.collective), axesText(in.axes));
    case Instruction::Kind::send:
    case Instruction::Kind::receive:
      return in.backwardDirection ? "gradient between stages" : "activation between stages";
    case Instruction::Kind::compute:
      break;
  }
  static constexpr const char* kPhases[] = {"forward", "backward", "backward", "update"};
  const Operator& op = graph.op(in.op);
  if (op.phase == Phase::update) return "optimizer";
  return fmt::format("{} of {}", in.recomputed ? "recomputation" : kPhases[size_t(op.phase)],
                     op.def->name);
}

}  // namespace

std::vector<CriticalWork> criticalWork(const Simulated& simulated, const Graph& graph) {
  const Timeline& timeline = simulated.timeline;
  std::map<std::string, CriticalWork> byName;
  Seconds waiting = timeline.stepTime;
  const auto add = [&](const std::string& name, Seconds time) {
    CriticalWork& w = byName[name];
    w.name = name;
    w.count += 1;
    w.time += time;
    waiting -= time;
  };
  Seconds reached;
  for (size_t i : criticalPath(simulated.program, timeline)) {
    const Span& span = timeline.spans[i];
    const Seconds start = std::max(span.start, reached);
    add(nameOf(instructionOf(simulated.program, span), graph),
        std::max(span.end - start, Seconds(0)));
    reached = std::max(reached, span.end);
  }
  if (waiting > 1e-6 * timeline.stepTime) add("waiting", waiting);
  std::vector<CriticalWork> out;
  for (auto& [name, work] : byName) {
    work.share = work.time / timeline.stepTime;
    out.push_back(work);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const CriticalWork& a, const CriticalWork& b) { return a.time > b.time; });
  return out;
}

std::string criticalWorkText(const std::vector<CriticalWork>& work) {
  Table table{{{""}, {"spans", true}, {"time", true}, {"", true}, {""}}, {}};
  for (size_t i = 0; i < std::min(work.size(), kMostRows); ++i)
    table.rows.push_back({work[i].name, groupedText(static_cast<double>(work[i].count)),
                          secondsText(work[i].time), percentText(work[i].share),
                          bar(work[i].share, kBarWidth)});
  return render(table, TableFormat::text, "  ");
}

}  // namespace meshplan
