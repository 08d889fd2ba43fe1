// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_picture.h"

#include <QCoreApplication>
#include <algorithm>

#include "app/human.h"
#include "gui/views/lane_raster.h"
#include "gui/views/timeline_paint.h"

namespace meshplan::gui {
namespace {

constexpr double kLane = 26, kLeastLane = 3, kMargin = 12;

// Where the parts of the picture are, from top to bottom.
struct Parts {
  double line = 0;  // the height of a line of text
  QRectF title, ruler, lanes, memory, legend;
};

Parts partsOf(const QSizeF& size, double line, bool memory) {
  Parts out{line, {}, {}, {}, {}, {}};
  const double width = size.width() - 2 * kMargin;
  const double curve = memory ? 6 * line : 0, bottom = size.height() - kMargin;
  out.title = QRectF(kMargin, kMargin, width, 1.6 * line);
  out.ruler = QRectF(kMargin, out.title.bottom(), width, 1.6 * line);
  out.legend = QRectF(kMargin, bottom - 1.6 * line, width, 1.6 * line);
  out.memory = QRectF(kMargin, out.legend.top() - curve, width, curve);
  out.lanes = QRectF(kMargin, out.ruler.bottom(), width,
                     out.memory.top() - out.ruler.bottom() - (memory ? 0.5 * line : 0));
  return out;
}

class Picture {
 public:
  Picture(QPainter& painter, const TimelineScene& scene, const QPalette& palette,
          const TimelinePicture& options)
      : painter_(painter), scene_(scene), palette_(palette), options_(options) {}

  void paint(const QSizeF& size, const QString& title) {
    const QFontMetricsF metrics(painter_.font());
    parts_ = partsOf(size, metrics.height(), options_.memory);
    const double header = laneHeaderWidth(metrics, scene_);
    scale_ = {options_.window ? options_.window->begin.value : 0,
              options_.window ? options_.window->end.value : scene_.tracks.stepTime(),
              parts_.lanes.x() + header, parts_.lanes.width() - header};
    painter_.fillRect(QRectF({0, 0}, size), palette_.color(QPalette::Window));
    painter_.setPen(palette_.color(QPalette::WindowText));
    painter_.drawText(parts_.title, Qt::AlignLeft | Qt::AlignVCenter, title);
    paintRuler(painter_, plot(parts_.ruler), scale_, palette_);
    paintLanes();
    if (options_.memory) paintCurve();
    paintLegend(painter_, parts_.legend, palette_);
  }

 private:
  QRectF plot(const QRectF& part) const {
    return {scale_.x, part.y(), scale_.width, part.height()};
  }

  /// As high as there is room for.
  LaneLayout layout() const {
    double lane = kLane;
    while (lane > kLeastLane && layOutLanes(scene_, lane).height > parts_.lanes.height())
      lane -= 0.5;
    return layOutLanes(scene_, lane);
  }

  void paintLanes() {
    const LaneLayout layout = this->layout();
    const MarkedPlaces marked = placesOf(scene_, options_.operators);
    painter_.setClipRect(plot(parts_.lanes));
    paintGrid(
        painter_, plot(parts_.lanes), scale_,
        blended(palette_.color(QPalette::Window), palette_.color(QPalette::WindowText), 0.15));
    for (size_t t = 0; t < layout.lanes.size(); ++t) paintLane(layout.lanes[t], t, marked[t]);
    if (options_.flows) paintFlows(layout);
    painter_.setClipRect(parts_.lanes);
    painter_.save();
    painter_.translate(parts_.lanes.topLeft());
    paintLaneHeaders(
        painter_, scene_, layout, scale_.x - parts_.lanes.x(), [](size_t) { return false; },
        palette_);
    painter_.restore();
    painter_.setClipping(false);
  }

  void paintLane(const Lane& lane, size_t track, const std::vector<uint32_t>& marked) {
    const QRectF area(scale_.x, parts_.lanes.y() + lane.y, scale_.width, lane.height);
    painter_.fillRect(area, palette_.color(QPalette::Base));
    const int columns = std::max(1, int(scale_.width));
    const Track& drawn = scene_.tracks.tracks()[track];
    drawn.spans.runs(scale_.begin, scale_.end, columns, runs_);
    paintRuns(painter_, area, scale_.width / columns, runs_, palette_);
    labels_.paint(painter_, scene_, track, area, scale_, scale_.width / columns, runs_, palette_);
    if (!drawn.predicted.empty())
      paintErrors(painter_, drawn, area, scale_, scale_.width / columns, runs_, palette_);
    paintMarked(painter_, drawn, marked, area, scale_, palette_.color(QPalette::WindowText));
  }

  QRectF rectOf(const LaneLayout& layout, const SpanPlace& place) const {
    const Lane& lane = layout.lanes[place.track];
    const double left = scale_.xOf(scene_.start(place)), right = scale_.xOf(scene_.end(place));
    return {left, parts_.lanes.y() + lane.y, std::max(1.0, right - left), lane.height};
  }

  void paintFlows(const LaneLayout& layout) {
    const auto inSight = [&](const Flow& f) {
      return f.begin < scale_.end && f.end > scale_.begin;
    };
    const QPen pen(spanColour(SpanKind::transfer).darker(110), 1);
    if (std::count_if(scene_.flows.begin(), scene_.flows.end(), inSight) > kFewFlows) return;
    for (const Flow& f : scene_.flows)
      if (inSight(f)) paintFlow(painter_, rectOf(layout, f.send), rectOf(layout, f.receive), pen);
  }

  void paintCurve() {
    const size_t rankClass = scene_.timeline->peakRankClass();
    painter_.setClipRect(parts_.memory);
    paintMemory(painter_, plot(parts_.memory), scale_, scene_, rankClass, palette_);
    paintMemoryHeader(painter_, parts_.memory, scene_, rankClass, palette_);
    painter_.setClipping(false);
  }

  QPainter& painter_;
  const TimelineScene& scene_;
  const QPalette& palette_;
  const TimelinePicture& options_;
  Parts parts_;
  TimeScale scale_;
  LaneLabels labels_;
  std::vector<TrackRun> runs_;
};

// Of an object that outlives the scene.
std::shared_ptr<const TimelineScene> borrowed(const ShownPlan& shown,
                                              const TimelinePicture& options) {
  const std::shared_ptr<const ShownPlan> plan(std::shared_ptr<void>(), &shown);
  const std::shared_ptr<const Timeline> measured(std::shared_ptr<void>(), options.measured);
  return sceneOf(plan, measured);
}

QString titleOf(const ShownPlan& shown) {
  return QCoreApplication::translate("Timeline", "%1 · %2 · step %3")
      .arg(QString::fromStdString(shown.document->planning().modelName()),
           QString::fromStdString(shown.strategy()),
           QString::fromStdString(secondsText(shown.report.stepTime)));
}

}  // namespace

void paintTimeline(QPainter& painter, const QSizeF& size, const TimelineScene& scene,
                   const QString& title, const TimelinePicture& options) {
  const QPalette palette = options.palette.value_or(themePalette(Theme::light));
  painter.save();
  Picture(painter, scene, palette, options).paint(size, title);
  painter.restore();
}

void paintTimeline(QPainter& painter, const QSizeF& size, const ShownPlan& shown,
                   const TimelinePicture& options) {
  paintTimeline(painter, size, *borrowed(shown, options), titleOf(shown), options);
}

QSizeF timelinePictureSize(const ShownPlan& shown, const TimelinePicture& options, double width) {
  const double lanes = layOutLanes(*borrowed(shown, options), kLane).height;
  const double line = 16;  // of fonts of 9 to 10 points
  return {width, lanes + 2 * kMargin + (options.memory ? 11.3 : 4.8) * line};
}

}  // namespace meshplan::gui
