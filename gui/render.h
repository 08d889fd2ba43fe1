// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QSize>
#include <QStringList>

#include "gui/document.h"

namespace meshplan::gui {

/// What the command line can draw of a plan without a display.
inline const QStringList kRenderedViews = {"timeline", "placement", "memory",
                                           "model",    "stages",    "plans"};

/// Plans what was asked for (a plan file: that plan; else the best one) and draws one view of it,
/// or, where the path ends in .csv or .md, writes the table behind plans, memory or model. An
/// invalid size: the view's own. Throws Error(usage) for an unknown view or file name, and as
/// Document and searchPlans do.
void renderView(const QString& view, const OpenRequest& request, const QString& path, QSize size);

}  // namespace meshplan::gui
