// SPDX-License-Identifier: Apache-2.0
#include "gui/models/span_text.h"

#include <QCoreApplication>
#include <QStringList>
#include <algorithm>

#include "app/human.h"
#include "core/instruction_names.h"
#include "gui/models/time_scale.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("SpanText", text);
}
QString seconds(double t) {
  return text(Seconds(t));
}

QString title(const TimelineScene& scene, const SpanPlace& place, const Span* span) {
  QString out = "<b>" + spanName(scene, place).toHtmlEscaped() + "</b>";
  if (!span || scene.instruction(*span).kind != Instruction::Kind::compute) return out;
  const OpId op = scene.instruction(*span).op;
  if (op.valid() && op.index() < scene.graph->operatorCount() && scene.graph->op(op).def)
    out += " · " + text(scene.graph->op(op).def->name).toHtmlEscaped();
  return out;
}

QString when(const TimelineScene& scene, const SpanPlace& place) {
  const double begin = scene.start(place), end = scene.end(place);
  const double step = (end - begin) / 10;
  return tr("%1, from %2 to %3")
      .arg(seconds(end - begin), fineTimeText(begin, step), fineTimeText(end, step));
}

QString what(const TimelineScene& scene, const Span& span) {
  const Routine& routine = scene.routine(span);
  QString out = term(phaseText(routine, scene.instruction(span)));
  if (routine.kind != Routine::Kind::update)
    out += tr(" of micro-batch %1").arg(scene.call(span).microBatch);
  return out;
}

QString evidence(const TimelineScene& scene, const Span& span) {
  const auto found = scene.evidence.of(scene.call(span).routine, span.instruction);
  return found ? tr("prediction: %1").arg(evidenceText(*found)) : QString();
}

QString error(const TimelineScene& scene, const SpanPlace& place) {
  const Track& track = scene.track(place);
  if (track.predicted.empty() || track.predicted[place.place] < 0) return {};
  const auto there = double(track.predicted[place.place]);
  const double here = scene.end(place) - scene.start(place);
  if (track.measured)
    return tr("measured; predicted %1 (%2)")
        .arg(seconds(there), text(percentText(there / here - 1)));
  return tr("%1 in the other step, %2 here").arg(seconds(there), changeText(here, there));
}

bool isInterleaved(const Program& program) {
  return std::any_of(program.routines.begin(), program.routines.end(), [&](const Routine& r) {
    return size_t(r.chunk) >= program.rankClasses.size();
  });
}

}  // namespace

QString spanName(const TimelineScene& scene, const SpanPlace& place) {
  const Span* span = scene.span(place);
  if (!span) return spanKindName(SpanKind::bubble);
  return text(instructionText(*scene.graph, scene.routine(*span), scene.instruction(*span)));
}

QString callName(const TimelineScene& scene, const Track& track, const CallBlock& block) {
  const Call& call = scene.program->rankClasses[track.rankClass].calls[block.call];
  const Routine& routine = scene.program->routines[call.routine];
  if (routine.kind == Routine::Kind::update) return QStringLiteral("U");
  const QString name =
      (routine.kind == Routine::Kind::forward ? "F" : "B") + QString::number(call.microBatch);
  return isInterleaved(*scene.program) ? name + QStringLiteral(" c%1").arg(routine.chunk) : name;
}

QString spanTip(const TimelineScene& scene, const SpanPlace& place) {
  const Span* span = scene.span(place);
  QStringList lines{title(scene, place, span)};
  if (span) lines << what(scene, *span).toHtmlEscaped();
  lines << when(scene, place);
  if (span && scene.instruction(*span).bytes.value > 0)
    lines << text(bytesText(scene.instruction(*span).bytes));
  if (span) lines << evidence(scene, *span) << error(scene, place);
  lines.removeAll(QString());
  return lines.join(QStringLiteral("<br>"));
}

QString spanLine(const TimelineScene& scene, const SpanPlace& place) {
  QString tip = spanTip(scene, place);
  tip.replace(QStringLiteral("<br>"), QStringLiteral(" · "));
  tip.remove(QStringLiteral("<b>")).remove(QStringLiteral("</b>"));
  return tip.replace(QStringLiteral("&lt;"), QStringLiteral("<"))
      .replace(QStringLiteral("&gt;"), QStringLiteral(">"))
      .replace(QStringLiteral("&quot;"), QStringLiteral("\""))
      .replace(QStringLiteral("&amp;"), QStringLiteral("&"));
}

QString rankClassName(const TimelineScene& scene, size_t rankClass) {
  if (!scene.classNames.empty()) return scene.classNames[rankClass];
  return tr("Stage %1").arg(scene.program->rankClasses[rankClass].stage);
}

QString trackName(const TimelineScene& scene, const Track& track) {
  if (!scene.trackNames.empty())
    return scene.trackNames[static_cast<size_t>(&track - scene.tracks.tracks().data())];
  const QString name = term(streamName(track.stream));
  if (!scene.measured) return name;
  return track.measured ? tr("%1 · measured").arg(name) : tr("%1 · predicted").arg(name);
}

}  // namespace meshplan::gui
