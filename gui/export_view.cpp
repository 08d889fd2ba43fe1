// SPDX-License-Identifier: Apache-2.0
#include "gui/export_view.h"

#include <QFileInfo>
#include <QPageSize>
#include <QPdfWriter>
#include <QSaveFile>
#include <QSvgGenerator>

namespace meshplan::gui {
namespace {

constexpr int kPixelRatio = 2;
constexpr int kDotsPerInch = 96;

using Paint = std::function<void(QPainter&)>;

bool paintPng(QIODevice& file, const QSize& size, const Paint& paint) {
  QImage image(size * kPixelRatio, QImage::Format_ARGB32);
  image.setDevicePixelRatio(kPixelRatio);
  image.fill(Qt::white);
  QPainter painter(&image);
  paint(painter);
  painter.end();
  return image.save(&file, "PNG");
}

bool paintSvg(QIODevice& file, const QSize& size, const Paint& paint) {
  QSvgGenerator svg;
  svg.setOutputDevice(&file);
  svg.setSize(size);
  svg.setViewBox(QRect(QPoint(), size));
  svg.setResolution(kDotsPerInch);
  QPainter painter(&svg);
  paint(painter);
  return painter.end();
}

bool paintPdf(QIODevice& file, const QSize& size, const Paint& paint) {
  QPdfWriter pdf(&file);
  pdf.setResolution(kDotsPerInch);
  pdf.setPageSize(QPageSize(QSizeF(size) * 72.0 / kDotsPerInch, QPageSize::Point));
  pdf.setPageMargins({});
  QPainter painter(&pdf);
  paint(painter);
  return painter.end();
}

}  // namespace

bool exportPicture(const QString& path, const QSize& size, const Paint& paint) {
  const QString kind = QFileInfo(path).suffix().toLower();
  if (kind != "png" && kind != "svg" && kind != "pdf") return false;
  QSaveFile file(path);
  if (!file.open(QIODevice::WriteOnly)) return false;
  const bool drawn = kind == "png"   ? paintPng(file, size, paint)
                     : kind == "svg" ? paintSvg(file, size, paint)
                                     : paintPdf(file, size, paint);
  return drawn && file.commit();
}

bool exportWidget(QWidget& widget, const QString& path) {
  return exportPicture(path, widget.size(), [&](QPainter& painter) { widget.render(&painter); });
}

}  // namespace meshplan::gui
