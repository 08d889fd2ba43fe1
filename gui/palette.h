// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QBrush>
#include <QColor>
#include <QPalette>

#include "core/program.h"

namespace meshplan::gui {

/// What a span of a timeline is, as colours and patterns tell it.
enum class SpanKind : uint8_t {
  forward,
  recompute,
  backward,
  update,
  collective,
  transfer,
  bubble
};
inline constexpr int kSpanKinds = 7;
QString spanKindName(SpanKind kind);
SpanKind spanKindOf(const Routine& routine, const Instruction& instruction);

/// Colours for eight categories that colour-blind people tell apart (Okabe and Ito, "Color
/// Universal Design", 2008), and for stages along viridis (Smith and van der Walt, matplotlib,
/// 2015). Kinds of spans also differ in their pattern.
QColor spanColour(SpanKind kind);
/// The pattern over the colour; Qt::SolidPattern for none.
Qt::BrushStyle spanPattern(SpanKind kind);
QColor memoryColour(MemoryCategory category);
/// 0 to 1 along viridis.
QColor scaleColour(double at);
QColor stageColour(int64_t stage, int64_t stages);
/// Slower and faster, or more and less than what it is held against: vermillion and bluish green of
/// Okabe and Ito.
QColor worseColour();
QColor betterColour();
/// Black or white, whichever is read better on it.
QColor textOn(const QColor& background);

enum class Theme { system, light, dark };
/// Fusion's palette in that theme.
QPalette themePalette(Theme theme);

}  // namespace meshplan::gui
