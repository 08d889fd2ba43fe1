// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <optional>

#include "gui/models/stage_blocks.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// The layers of the model on the stages of the pipeline: a row per stage, as long as a micro-batch
/// takes there, so that the slowest stage is the longest; the chunks of an interleaved plan stand
/// apart. Dragging a layer to another row moves it there; so do Ctrl+Up and Ctrl+Down for the layer
/// with the cursor, and the menu of a layer.
class StagesView : public QWidget {
  Q_OBJECT

 public:
  StagesView(Session& session, Selection& selection, QWidget* parent = nullptr);

  const StageBlocks& blocks() const { return blocks_; }
  /// Where a block, or the row of a stage, is drawn.
  QRectF block(int64_t block) const;
  QRectF row(int64_t stage) const;
  QSize sizeHint() const override;
  int heightForWidth(int width) const override;
  void paint(QPainter& painter);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void contextMenuEvent(QContextMenuEvent* event) override;
  bool event(QEvent* event) override;

 private:
  struct Drag {
    QPointF from, at;
    bool moved = false;
  };

  void showPlan();
  void selectionChanged();
  void point(int64_t block);
  void move(int64_t chunk);
  void keepInView();
  int64_t blockAt(QPointF at) const;  // -1: none
  int64_t chunkAt(QPointF at) const;
  bool isSelected(int64_t block) const;
  double rowHeight() const;
  double top(double width) const;
  double left() const;
  double right() const;
  double pixelsPerSecond() const;
  int64_t target() const;  // the chunk that a drag would move to; -1: none
  QString hint() const;
  QString headline() const;
  std::pair<double, double> extent(int64_t chunk) const;  // left and right
  void paintRow(QPainter& painter, int64_t stage) const;
  void paintBlock(QPainter& painter, int64_t block) const;
  void paintTarget(QPainter& painter) const;
  QString toolTip(int64_t block) const;

  Session& session_;
  Selection& selection_;
  std::shared_ptr<const ShownPlan> shown_;  // whose blocks these are
  StageBlocks blocks_;
  std::vector<bool> selected_;  // by block
  int64_t pointed_ = -1;        // the block with the cursor
  std::optional<Drag> drag_;
};

}  // namespace meshplan::gui
