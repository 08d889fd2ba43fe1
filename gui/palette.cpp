// SPDX-License-Identifier: Apache-2.0
#include "gui/palette.h"

#include <QCoreApplication>
#include <QGuiApplication>
#include <QStyle>
#include <QStyleFactory>
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

namespace meshplan::gui {
namespace {

struct KindLook {
  const char* name;
  QRgb colour;
  Qt::BrushStyle pattern;
};

constexpr std::array<KindLook, kSpanKinds> kKinds = {{
    {QT_TRANSLATE_NOOP("SpanKind", "forward"), 0xff56b4e9, Qt::SolidPattern},
    {QT_TRANSLATE_NOOP("SpanKind", "recompute"), 0xff009e73, Qt::Dense6Pattern},
    {QT_TRANSLATE_NOOP("SpanKind", "backward"), 0xff0072b2, Qt::SolidPattern},
    {QT_TRANSLATE_NOOP("SpanKind", "update"), 0xfff0e442, Qt::SolidPattern},
    {QT_TRANSLATE_NOOP("SpanKind", "collective"), 0xffe69f00, Qt::BDiagPattern},
    {QT_TRANSLATE_NOOP("SpanKind", "send/receive"), 0xffcc79a7, Qt::DiagCrossPattern},
    {QT_TRANSLATE_NOOP("SpanKind", "bubble"), 0xff9a9a9a, Qt::FDiagPattern},
}};

constexpr std::array<QRgb, kMemoryCategories> kMemory = {
    0xff0072b2, 0xff56b4e9, 0xff009e73, 0xff44c8a0, 0xffe69f00, 0xffcc79a7, 0xfff0e442, 0xff9a9a9a};

// viridis at equal steps.
constexpr std::array<QRgb, 9> kViridis = {0xff440154, 0xff472d7b, 0xff3b528b,
                                          0xff2c728e, 0xff21918c, 0xff28ae80,
                                          0xff5ec962, 0xffaddc30, 0xfffde725};

/// Relative luminance (WCAG 2.1).
double luminance(const QColor& c) {
  const auto linear = [](double v) {
    return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF());
}

QPalette darkPalette() {
  const QColor window(0x20, 0x22, 0x26), base(0x17, 0x18, 0x1b), text(0xe6, 0xe6, 0xe6);
  const QColor button(0x2c, 0x2f, 0x34), accent(0x3d, 0x9d, 0xd9), weak(0x8c, 0x8f, 0x94);
  QPalette p(text, button, button.lighter(130), base, button.darker(130), text, Qt::white, base,
             window);
  p.setColor(QPalette::AlternateBase, QColor(0x1d, 0x1f, 0x23));
  p.setColor(QPalette::ToolTipBase, button);
  p.setColor(QPalette::ToolTipText, text);
  p.setColor(QPalette::PlaceholderText, weak);
  p.setColor(QPalette::Highlight, accent);
  p.setColor(QPalette::HighlightedText, Qt::black);
  p.setColor(QPalette::Link, accent);
  for (const QPalette::ColorRole role :
       {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
    p.setColor(QPalette::Disabled, role, weak);
  return p;
}

QPalette lightPalette() {
  const QColor window(0xf3, 0xf4, 0xf6), text(0x1c, 0x1e, 0x21), button(0xe8, 0xea, 0xed);
  const QColor accent(0x00, 0x72, 0xb2), weak(0x76, 0x7a, 0x80);
  QPalette p(text, button, Qt::white, button.darker(140), button.darker(115), text, Qt::white,
             Qt::white, window);
  p.setColor(QPalette::AlternateBase, QColor(0xf6, 0xf7, 0xf9));
  p.setColor(QPalette::ToolTipBase, Qt::white);
  p.setColor(QPalette::ToolTipText, text);
  p.setColor(QPalette::PlaceholderText, weak);
  p.setColor(QPalette::Highlight, accent);
  p.setColor(QPalette::HighlightedText, Qt::white);
  p.setColor(QPalette::Link, accent);
  for (const QPalette::ColorRole role :
       {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
    p.setColor(QPalette::Disabled, role, weak);
  return p;
}

bool systemIsDark() {
  const std::unique_ptr<QStyle> style(QStyleFactory::create("fusion"));
  const QPalette system = style ? style->standardPalette() : QGuiApplication::palette();
  return luminance(system.color(QPalette::Window)) < 0.2;
}

}  // namespace

QString spanKindName(SpanKind kind) {
  return QCoreApplication::translate("SpanKind", kKinds[size_t(kind)].name);
}

SpanKind spanKindOf(const Routine& routine, const Instruction& in) {
  if (in.kind == Instruction::Kind::collective) return SpanKind::collective;
  if (in.kind != Instruction::Kind::compute) return SpanKind::transfer;
  if (routine.kind == Routine::Kind::update) return SpanKind::update;
  if (in.recomputed) return SpanKind::recompute;
  return routine.kind == Routine::Kind::forward ? SpanKind::forward : SpanKind::backward;
}

QColor spanColour(SpanKind kind) {
  return QColor(kKinds[size_t(kind)].colour);
}
Qt::BrushStyle spanPattern(SpanKind kind) {
  return kKinds[size_t(kind)].pattern;
}
QColor memoryColour(MemoryCategory category) {
  return QColor(kMemory[size_t(category)]);
}

QColor scaleColour(double at) {
  const double place = std::clamp(at, 0.0, 1.0) * (kViridis.size() - 1);
  const auto low = std::min(static_cast<size_t>(place), kViridis.size() - 2);
  const double share = place - static_cast<double>(low);
  const QColor a(kViridis[low]), b(kViridis[low + 1]);
  const auto mix = [share](int x, int y) { return static_cast<int>(x + share * (y - x)); };
  return {mix(a.red(), b.red()), mix(a.green(), b.green()), mix(a.blue(), b.blue())};
}

QColor stageColour(int64_t stage, int64_t stages) {
  return scaleColour(stages <= 1 ? 0.5
                                 : 0.15 + 0.75 * static_cast<double>(stage) /
                                              static_cast<double>(stages - 1));
}

QColor worseColour() {
  return {0xd5, 0x5e, 0x00};
}
QColor betterColour() {
  return {0x00, 0x9e, 0x73};
}

QColor textOn(const QColor& background) {
  return luminance(background) > 0.179 ? Qt::black : Qt::white;
}

QPalette themePalette(Theme theme) {
  if (theme == Theme::system) theme = systemIsDark() ? Theme::dark : Theme::light;
  return theme == Theme::dark ? darkPalette() : lightPalette();
}

}  // namespace meshplan::gui
