// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <QWidget>

namespace meshplan::gui {

/// Draws a widget into a .png, .svg or .pdf. False when the name is none of these, or the file
/// cannot be written.
bool exportWidget(QWidget& widget, const QString& path);

}  // namespace meshplan::gui
