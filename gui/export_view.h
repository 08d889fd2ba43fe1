// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QPainter>
#include <QString>
#include <QWidget>
#include <functional>

namespace meshplan::gui {

/// Draws into a .png (twice as fine), .svg or .pdf, all or nothing. False when the name is none of
/// these, or the file cannot be written.
bool exportPicture(const QString& path, const QSize& size,
                   const std::function<void(QPainter&)>& paint);
bool exportWidget(QWidget& widget, const QString& path);

}  // namespace meshplan::gui
