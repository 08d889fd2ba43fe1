// SPDX-License-Identifier: Apache-2.0
#include "gui/models/strategy_choices.h"

#include <QCoreApplication>
#include <QStringList>
#include <map>

#include "core/error.h"
#include "gui/text.h"
#include "planner/search/stages.h"

namespace meshplan::gui {
namespace {

constexpr size_t kMostOptions = 7;

QString tr(const char* text) {
  return QCoreApplication::translate("StrategyChoices", text);
}

using Values = std::map<QString, QString>;

Values valuesOf(const ShownPlan& shown) {
  const PlanReport& r = shown.report;
  const Plan& p = r.plan;
  const auto number = [](int64_t n) { return QString::number(n); };
  Values values = {{"tp", number(p.mesh.tensor)},
                   {"pp", number(p.mesh.pipeline)},
                   {"ep", number(p.mesh.expert)},
                   {"mbs", number(p.microBatch)},
                   {"vpp", number(p.virtualStages)},
                   {"zero", number(p.zeroStage)},
                   {"sp", r.sequenceParallel ? "on" : "off"},
                   {"schedule", text(scheduleName(p.schedule))},
                   {"recompute", text(recomputeName(p.recompute))}};
  if (shown.cutByHand) values["stages"] = text(stagesText(p)).section('=', 1);
  return values;
}

/// Choices that do not apply are left out: they would contradict.
QString strategyOf(Values values) {
  if (values["pp"] == "1") {
    values.erase("schedule");
    values.erase("vpp");
  } else if (values["vpp"] != "1") {
    values["schedule"] = "interleaved";
  } else if (values["schedule"] == "interleaved") {
    values["schedule"] = "1f1b";
  }
  if (values["tp"] == "1") values.erase("sp");
  QStringList words;
  for (const auto& [key, value] : values) words << key + "=" + value;
  return words.join(',');
}

std::vector<QString> divisors(int64_t n) {
  std::vector<QString> all;
  for (int64_t d = 1; d <= n && all.size() < kMostOptions; ++d)
    if (n % d == 0) all.push_back(QString::number(d));
  return all;
}

std::vector<QString> powersDividing(int64_t n) {
  std::vector<QString> all;
  for (int64_t d = 1; d <= n && n % d == 0 && all.size() < kMostOptions; d *= 2)
    all.push_back(QString::number(d));
  return all;
}

bool hasExperts(const Graph& graph) {
  for (const Operator& op : graph.operators())
    if (op.def->name == "ExpertLinear") return true;
  return false;
}

StrategyChoice choice(const ShownPlan& shown, const QString& key, const QString& name,
                      std::vector<QString> options) {
  const Values values = valuesOf(shown);
  const QString mine = values.at(key);
  if (std::find(options.begin(), options.end(), mine) == options.end()) options.push_back(mine);
  StrategyChoice made{key, name, {}};
  for (const QString& option : options) {
    Values changed = values;
    changed[key] = option;
    if (key == "pp" || key == "schedule") changed.erase("stages");
    if (key == "schedule" && option != "interleaved") changed["vpp"] = "1";
    if (key == "schedule" && option == "interleaved" && changed["vpp"] == "1") changed["vpp"] = "2";
    made.options.push_back({option, strategyOf(changed), option == mine});
  }
  return made;
}

}  // namespace

std::vector<StrategyChoice> strategyChoices(const ShownPlan& shown) {
  const auto devices = static_cast<int64_t>(shown.document->cluster().deviceCount());
  const int64_t node = shown.document->cluster().devicesPerNode();
  std::vector<StrategyChoice> all;
  all.push_back(choice(shown, "tp", tr("tensor"), divisors(std::min(devices, node))));
  all.push_back(choice(shown, "pp", tr("pipeline"), divisors(devices)));
  if (hasExperts(shown.document->model().graph))
    all.push_back(choice(shown, "ep", tr("experts"), divisors(devices)));
  all.push_back(
      choice(shown, "mbs", tr("micro-batch"), powersDividing(shown.document->globalBatch())));
  all.push_back(choice(shown, "recompute", tr("recompute"), {"none", "selective", "full"}));
  all.push_back(choice(shown, "zero", tr("ZeRO"), {"0", "1", "2", "3"}));
  if (shown.report.plan.mesh.tensor > 1)
    all.push_back(choice(shown, "sp", tr("sequence"), {"off", "on"}));
  if (shown.report.plan.mesh.pipeline > 1)
    all.push_back(choice(shown, "schedule", tr("schedule"), {"gpipe", "1f1b", "interleaved"}));
  return all;
}

OptionEffect effectOf(const Document& document, const QString& strategy) {
  try {
    const PlanReport r = evaluateStrategy(document.context(), document.globalBatch(),
                                          parseStrategy(strategy.toStdString()));
    return {{}, r.feasible ? QString() : text(r.rejection.text), r.stepTime, r.peakMemory};
  } catch (const Error& error) {
    const QString remedy = text(error.remedy());
    return {text(error.problem()) + (remedy.isEmpty() ? "" : "\n" + remedy), {}, {}, {}};
  }
}

}  // namespace meshplan::gui
