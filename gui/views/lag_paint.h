// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QPainter>
#include <QPalette>

#include "gui/models/step_lag.h"
#include "gui/models/time_scale.h"

namespace meshplan::gui {

/// Why the second step takes longer, over the time axis of both. Of one program: how far the second
/// is behind, instruction by instruction, tinted where they take longer (errorColour) and grey
/// where nothing computes. Of different ones: what the second has spent more than the first by
/// then, a line for each Spending, with its value at the right.
void paintLag(QPainter& painter, const QRectF& area, const TimeScale& scale, const StepLag& lag,
              const QPalette& palette);
/// What stands left of it.
void paintLagHeader(QPainter& painter, const QRectF& area, const StepLag& lag,
                    const QPalette& palette);

/// "recomputation", "idle"
QString spendingName(Spending spending);
/// What it tells at a time, as rich text.
QString lagTip(const StepLag& lag, double time);

}  // namespace meshplan::gui
