// SPDX-License-Identifier: Apache-2.0
#include "gui/export_view.h"

#include <QFileInfo>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSaveFile>
#include <QSvgGenerator>

namespace meshplan::gui {
namespace {

constexpr int kPixelRatio = 2;
constexpr int kDotsPerInch = 96;

bool exportPng(QWidget& widget, QIODevice& file) {
  QImage image(widget.size() * kPixelRatio, QImage::Format_ARGB32);
  image.setDevicePixelRatio(kPixelRatio);
  widget.render(&image);
  return image.save(&file, "PNG");
}

bool exportSvg(QWidget& widget, QIODevice& file) {
  QSvgGenerator svg;
  svg.setOutputDevice(&file);
  svg.setSize(widget.size());
  svg.setViewBox(widget.rect());
  svg.setResolution(kDotsPerInch);
  widget.render(&svg);
  return true;
}

bool exportPdf(QWidget& widget, QIODevice& file) {
  QPdfWriter pdf(&file);
  pdf.setResolution(kDotsPerInch);
  pdf.setPageSize(QPageSize(QSizeF(widget.size()) * 72.0 / kDotsPerInch, QPageSize::Point));
  pdf.setPageMargins({});
  QPainter painter(&pdf);
  widget.render(&painter);
  return painter.end();
}

}  // namespace

bool exportWidget(QWidget& widget, const QString& path) {
  QSaveFile file(path);
  const QString extension = QFileInfo(path).suffix().toLower();
  if (extension != "png" && extension != "svg" && extension != "pdf") return false;
  if (!file.open(QIODevice::WriteOnly)) return false;
  const bool drawn = extension == "png"   ? exportPng(widget, file)
                     : extension == "svg" ? exportSvg(widget, file)
                                          : exportPdf(widget, file);
  return drawn && file.commit();
}

}  // namespace meshplan::gui
