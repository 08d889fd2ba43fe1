// SPDX-License-Identifier: Apache-2.0
#include "gui/views/summary_view.h"

#include <algorithm>
#include <array>

#include "app/planning.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kNearlyFull = 0.9;

QString timeText(const PlanReport& r) {
  const TimeByCategory& t = r.timeByCategory;
  const auto share = [&](Seconds s) { return percent(s / r.stepTime); };
  QString line = QObject::tr("computes %1, exposed communication %2, bubble %3, optimizer %4")
                     .arg(share(t.compute), share(t.exposedCommunication), share(t.bubble),
                          share(t.optimizer));
  if (t.recompute.value > 0) line += QObject::tr(" (recomputation %1)").arg(share(t.recompute));
  return line;
}

QString memoryText(const PlanReport& r, Bytes limit) {
  if (!r.feasible)
    return QStringLiteral("<b style='color:#d55e00'>%1</b>").arg(text(r.rejection.text));
  const double filled = r.peakMemory / limit;
  const QString used =
      QObject::tr("%1 of %2 (%3)").arg(text(r.peakMemory), text(limit), percent(filled));
  return filled > kNearlyFull ? QObject::tr("memory binds: %1").arg(used)
                              : QObject::tr("memory does not bind: %1").arg(used);
}

/// Against the fastest baseline that fits.
QString baselineText(const PlanReport& r, const std::vector<PlanReport>& baselines) {
  const PlanReport* best = nullptr;
  for (const PlanReport& b : baselines)
    if (b.feasible && (!best || b.stepTime < best->stepTime)) best = &b;
  if (!best) return baselines.empty() ? QString() : QObject::tr("no baseline fits");
  return QObject::tr("%1 × as fast as %2 (%3)")
      .arg(best->stepTime / r.stepTime, 0, 'f', 2)
      .arg(text(best->label), text(best->stepTime));
}

}  // namespace

SummaryView::SummaryView(Session& session, Selection&, QWidget* parent)
    : QLabel(parent), session_(session) {
  setObjectName("SummaryView");
  setAccessibleName(tr("The shown plan"));
  setWordWrap(true);
  setTextInteractionFlags(Qt::TextSelectableByMouse);
  setContentsMargins(8, 6, 8, 6);
  setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Minimum);
  connect(&session_, &Session::shownChanged, this, &SummaryView::show);
  connect(&session_, &Session::foundChanged, this, &SummaryView::show);
  show();
}

void SummaryView::show() {
  const auto& shown = session_.shown();
  if (!shown) return setText(tr("No plan is shown yet."));
  const PlanReport& r = shown->report;
  const bool tokens = shown->document->model().tokensPerSample > 1;
  const QString rate = gui::text(groupedText(tokens ? r.tokensPerSecond : r.samplesPerSecond)) +
                       (tokens ? tr(" tokens/s") : tr(" samples/s"));
  QStringList lines;
  lines << tr("<b style='font-size:large'>%1</b> &nbsp; %2 a step, %3, MFU %4 "
              "<span style='color:gray'>(%5)</span>")
               .arg(gui::text(shown->strategy()), gui::text(r.stepTime), rate, percent(r.mfu),
                    gui::term(provenanceName(r.provenance)));
  lines << timeText(r);
  const QString baseline = baselineText(r, session_.found().baselines);
  lines << memoryText(r, shown->document->context().memoryLimit) +
               (baseline.isEmpty() ? QString() : QStringLiteral(" · ") + baseline);
  setText(lines.join(QStringLiteral("<br>")));
}

}  // namespace meshplan::gui
