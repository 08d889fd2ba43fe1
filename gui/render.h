// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QSize>
#include <QStringList>

#include "gui/document.h"

namespace meshplan::gui {

/// What the command line can draw of a plan without a display.
inline const QStringList kRenderedViews = {"timeline", "placement", "memory", "model",
                                           "stages",   "plans",     "compare"};

/// Plans what was asked for (a plan file: that plan; else the best one) and draws one view of it,
/// or, where the path ends in .csv or .md, writes the table behind plans, memory, model or compare.
/// `with` is what compare holds it against: a plan file, a strategy for the same model, or "last"
/// or the number of a run of the profile store, then prediction and measurement of that run. An
/// invalid size: the view's own. Throws Error(usage) for an unknown view or file name, and as
/// Document and searchPlans do.
void renderView(const QString& view, const OpenRequest& request, const QString& with,
                const QString& path, QSize size);

}  // namespace meshplan::gui
