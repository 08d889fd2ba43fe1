// SPDX-License-Identifier: Apache-2.0
#include "gui/views/stages_view.h"

#include <QApplication>
#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollArea>
#include <QToolTip>
#include <algorithm>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kMargin = 6, kPartGap = 5;
constexpr int64_t kMostOffered = 16;  // chunks in a menu; else the neighbours
constexpr QRgb kRefused = 0xffd55e00;
constexpr double kLeastBlock = 2;  // pixels of a block whose time is next to nothing

}  // namespace

StagesView::StagesView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent), session_(session), selection_(selection) {
  setObjectName("StagesView");
  setAccessibleName(tr("Layers of the stages"));
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Minimum);
  policy.setHeightForWidth(true);
  setSizePolicy(policy);
  connect(&session_, &Session::shownChanged, this, &StagesView::showPlan);
  connect(&selection_, &Selection::operatorsChanged, this, &StagesView::selectionChanged);
  showPlan();
}

void StagesView::showPlan() {
  shown_ = session_.shown();
  blocks_ = shown_ ? StageBlocks(*shown_) : StageBlocks();
  drag_.reset();
  if (pointed_ >= std::ssize(blocks_.blocks())) pointed_ = -1;
  selectionChanged();
  updateGeometry();
}

/// A block is selected when any of its operators is.
void StagesView::selectionChanged() {
  selected_.assign(blocks_.blocks().size(), false);
  if (!shown_) return update();
  const BlockChain& chain = shown_->document->model().chain;
  const size_t operators = shown_->document->model().forwardOps;
  for (OpId op : selection_.operators())
    if (op.index() < operators) selected_[chain.blockOf(op)] = true;
  update();
}

// --- geometry

double StagesView::rowHeight() const {
  return fontMetrics().height() + 8;
}
/// Of the first row: below the hint, which is as high as the width makes it.
double StagesView::top(double width) const {
  const QRectF room(0, 0, width - 2 * kMargin, 1000);
  return QFontMetricsF(font()).boundingRect(room, Qt::TextWordWrap, hint()).height() + kMargin;
}
double StagesView::left() const {
  QFont bold = font();
  bold.setBold(true);
  return QFontMetricsF(bold).horizontalAdvance(tr("stage %1").arg(blocks_.stages())) + 2 * kMargin;
}
double StagesView::right() const {
  QFont bold = font();
  bold.setBold(true);
  return QFontMetricsF(bold).horizontalAdvance(tr("%1, %2 blocks").arg("888.8 ms").arg(88)) +
         2 * kMargin;
}

double StagesView::pixelsPerSecond() const {
  const double slowest = blocks_.slowest().value;
  int64_t most = 0;
  for (int64_t s = 0; s < blocks_.stages(); ++s) most = std::max(most, blocks_.blocksOf(s));
  const double parts = double(std::ssize(blocks_.chunks()) / blocks_.stages());
  const double room =
      width() - left() - right() - kLeastBlock * double(most) - kPartGap * (parts - 1);
  return slowest > 0 ? std::max(1.0, room) / slowest : 0;
}

QSize StagesView::sizeHint() const {
  return {560, heightForWidth(560)};
}

int StagesView::heightForWidth(int width) const {
  return static_cast<int>(top(width) + rowHeight() * double(blocks_.stages()) + kMargin);
}

QRectF StagesView::row(int64_t stage) const {
  return {0, top(width()) + rowHeight() * double(stage), double(width()), rowHeight()};
}

std::pair<double, double> StagesView::extent(int64_t chunk) const {
  const double scale = pixelsPerSecond();
  const auto length = [&](int64_t c) {
    const StageChunk& k = blocks_.chunks()[size_t(c)];
    return kLeastBlock * double(k.blocks()) + k.time.value * scale;
  };
  double x = left();
  for (int64_t c = chunk % blocks_.stages(); c < chunk; c += blocks_.stages())
    x += length(c) + kPartGap;
  return {x, x + length(chunk)};
}

QRectF StagesView::block(int64_t block) const {
  const int64_t chunk = blocks_.chunkOf(block);
  const StageChunk& own = blocks_.chunks()[size_t(chunk)];
  const double scale = pixelsPerSecond();
  double x = extent(chunk).first;
  for (int64_t b = own.first; b < block; ++b)
    x += kLeastBlock + blocks_.blocks()[size_t(b)].time.value * scale;
  const double width = kLeastBlock + blocks_.blocks()[size_t(block)].time.value * scale;
  return QRectF(x, row(own.stage).top() + 2, width, rowHeight() - 4);
}

/// Of the stage in that row, the chunk that is nearest.
int64_t StagesView::chunkAt(QPointF at) const {
  const auto stage = static_cast<int64_t>(std::floor((at.y() - top(width())) / rowHeight()));
  if (blocks_.blocks().empty() || stage < 0 || stage >= blocks_.stages()) return -1;
  int64_t nearest = stage;
  double least = 1e30;
  for (int64_t c = stage; c < std::ssize(blocks_.chunks()); c += blocks_.stages()) {
    const auto [from, to] = extent(c);
    const double away = std::max({0.0, from - at.x(), at.x() - to});
    if (away < least) least = away, nearest = c;
  }
  return nearest;
}

int64_t StagesView::blockAt(QPointF at) const {
  const int64_t chunk = chunkAt(at);
  if (chunk < 0) return -1;
  const StageChunk& c = blocks_.chunks()[size_t(chunk)];
  for (int64_t b = c.first; b < c.end; ++b)
    if (block(b).contains(QPointF(at.x(), block(b).center().y()))) return b;
  return -1;
}

int64_t StagesView::target() const {
  if (!drag_ || !drag_->moved || pointed_ < 0) return -1;
  const int64_t chunk = chunkAt(drag_->at);
  return chunk == blocks_.chunkOf(pointed_) ? -1 : chunk;
}

// --- painting

void StagesView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  paint(painter);
}

QString StagesView::hint() const {
  if (blocks_.chunks().size() < 2)
    return tr(
        "One stage: every rank has all layers. In a plan with more (pipeline), layers can be "
        "moved between them.");
  return tr(
      "A row is as long as a micro-batch takes in that stage. Drag a layer to another stage "
      "to move it.");
}

QString StagesView::headline() const {
  const int64_t to = target();
  return to >= 0 ? blocks_.moveText(pointed_, to) : hint();
}

void StagesView::paint(QPainter& painter) {
  painter.setRenderHint(QPainter::Antialiasing);
  if (blocks_.blocks().empty()) {
    painter.setPen(palette().color(QPalette::PlaceholderText));
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap,
                     tr("The layers of the stages stand here once a model is open."));
    return;
  }
  const int64_t to = target();
  const bool refused = to >= 0 && !blocks_.mayMove(pointed_, to);
  painter.setPen(refused ? QColor(kRefused) : palette().color(QPalette::WindowText));
  painter.drawText(QRectF(kMargin, 0, width() - 2 * kMargin, top(width())),
                   Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, headline());
  for (int64_t s = 0; s < blocks_.stages(); ++s) paintRow(painter, s);
  paintTarget(painter);
}

void StagesView::paintRow(QPainter& painter, int64_t stage) const {
  const QRectF place = row(stage);
  const Seconds time = blocks_.time(stage);
  const int64_t count = blocks_.blocksOf(stage);
  QFont font = painter.font();
  font.setBold(blocks_.stages() > 1 && time >= blocks_.slowest());
  painter.setFont(font);
  painter.setPen(palette().color(QPalette::WindowText));
  painter.drawText(QRectF(0, place.top(), left() - kMargin, place.height()),
                   Qt::AlignRight | Qt::AlignVCenter, tr("stage %1").arg(stage));
  painter.drawText(place.adjusted(0, 0, -kMargin, 0), Qt::AlignRight | Qt::AlignVCenter,
                   count == 1 ? tr("%1, 1 block").arg(text(time))
                              : tr("%1, %2 blocks").arg(text(time)).arg(count));
  font.setBold(false);
  painter.setFont(font);
  for (const StageChunk& chunk : blocks_.chunks())
    if (chunk.stage == stage)
      for (int64_t b = chunk.first; b < chunk.end; ++b) paintBlock(painter, b);
}

void StagesView::paintBlock(QPainter& painter, int64_t index) const {
  const QRectF place = block(index).adjusted(0, 0, -1, 0);
  QColor colour =
      stageColour(blocks_.chunks()[size_t(blocks_.chunkOf(index))].stage, blocks_.stages());
  if (const int64_t to = target(); to >= 0) {
    const auto [first, end] = blocks_.movedWith(pointed_, to);
    if (index >= first && index < end) colour.setAlphaF(0.35);
  }
  const QColor ink = textOn(colour);
  painter.setPen(Qt::NoPen);
  painter.setBrush(colour);
  painter.drawRoundedRect(place, 2, 2);
  const QString& label = blocks_.blocks()[size_t(index)].label;
  if (fontMetrics().horizontalAdvance(label) + 4 < place.width()) {
    painter.setPen(ink);
    painter.drawText(place, Qt::AlignCenter, label);
  }
  if (!selected_[size_t(index)] && !(index == pointed_ && hasFocus())) return;
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(palette().color(QPalette::WindowText), index == pointed_ ? 2.5 : 1.5));
  painter.drawRoundedRect(place.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2);
}

/// The row it would go to, and the layers under the mouse.
void StagesView::paintTarget(QPainter& painter) const {
  const int64_t to = target();
  if (to < 0) return;
  const bool may = blocks_.mayMove(pointed_, to);
  QColor colour = may ? palette().color(QPalette::Highlight) : QColor(kRefused);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(colour, 2, may ? Qt::SolidLine : Qt::DashLine));
  const QRectF row = this->row(blocks_.chunks()[size_t(to)].stage);
  const auto [from, until] = extent(to);
  painter.drawRoundedRect(QRectF(from - 2, row.top(), until - from + 4, row.height()), 3, 3);
  const auto [first, end] = blocks_.movedWith(pointed_, to);
  QRectF ghost = block(first).united(block(end - 1));
  ghost.translate(drag_->at - drag_->from);
  colour.setAlphaF(0.4);
  painter.setBrush(colour);
  painter.drawRoundedRect(ghost, 2, 2);
}

// --- mouse and keys

void StagesView::point(int64_t block) {
  pointed_ = block;
  std::vector<OpId> operators;
  if (block >= 0) {
    const Block& b = shown_->document->model().chain.blocks[size_t(block)];
    for (uint32_t i = b.begin; i < b.end; ++i) operators.push_back(OpId(i));
  }
  selection_.setOperators(std::move(operators));
  keepInView();
  update();
}

void StagesView::keepInView() {
  if (pointed_ < 0) return;
  const QPoint at = block(pointed_).center().toPoint();
  for (QWidget* up = parentWidget(); up; up = up->parentWidget())
    if (auto* area = qobject_cast<QScrollArea*>(up)) return area->ensureVisible(at.x(), at.y());
}

void StagesView::move(int64_t chunk) {
  if (pointed_ >= 0 && chunk >= 0 && chunk < std::ssize(blocks_.chunks()))
    session_.moveLayer(pointed_, chunk);
}

void StagesView::mousePressEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  const int64_t hit = blockAt(event->position());
  point(hit);
  if (hit >= 0) drag_ = Drag{event->position(), event->position()};
}

void StagesView::mouseMoveEvent(QMouseEvent* event) {
  if (!drag_) {
    const bool movable = blocks_.chunks().size() > 1 && blockAt(event->position()) >= 0;
    return setCursor(movable ? Qt::OpenHandCursor : Qt::ArrowCursor);
  }
  drag_->at = event->position();
  drag_->moved = drag_->moved ||
                 (drag_->at - drag_->from).manhattanLength() >= QApplication::startDragDistance();
  setCursor(Qt::ClosedHandCursor);
  update();
}

void StagesView::mouseReleaseEvent(QMouseEvent*) {
  const int64_t to = target();
  drag_.reset();
  setCursor(Qt::ArrowCursor);
  update();
  if (to >= 0) move(to);
}

void StagesView::keyPressEvent(QKeyEvent* event) {
  const auto count = std::ssize(blocks_.blocks());
  if (count == 0) return QWidget::keyPressEvent(event);
  const bool moves = event->modifiers() & Qt::ControlModifier;
  const int64_t chunk = pointed_ < 0 ? 0 : blocks_.chunkOf(pointed_);
  const auto firstOf = [&](int64_t c) {
    return blocks_.chunks()[size_t(std::clamp<int64_t>(c, 0, std::ssize(blocks_.chunks()) - 1))]
        .first;
  };
  switch (event->key()) {
    case Qt::Key_Left:
      return point(std::max<int64_t>(0, pointed_ - 1));
    case Qt::Key_Right:
      return point(std::min<int64_t>(count - 1, pointed_ + 1));
    case Qt::Key_Up:
      return moves ? move(chunk - 1) : point(firstOf(chunk - 1));
    case Qt::Key_Down:
      return moves ? move(chunk + 1) : point(firstOf(chunk + 1));
    case Qt::Key_Escape:
      drag_.reset();
      return update();
    default:
      return QWidget::keyPressEvent(event);
  }
}

void StagesView::contextMenuEvent(QContextMenuEvent* event) {
  if (event->reason() == QContextMenuEvent::Mouse) point(blockAt(QPointF(event->pos())));
  if (pointed_ < 0 || blocks_.chunks().size() < 2) return;
  QMenu menu(this);
  menu.setObjectName("layerMenu");
  for (int64_t c = 0; c < std::ssize(blocks_.chunks()); ++c) {
    const int64_t away = std::abs(c - blocks_.chunkOf(pointed_));
    if (away == 0 || (away > 1 && std::ssize(blocks_.chunks()) > kMostOffered)) continue;
    QAction* action = menu.addAction(tr("Move to %1").arg(blocks_.chunks()[size_t(c)].name), this,
                                     [this, c] { move(c); });
    action->setEnabled(blocks_.mayMove(pointed_, c));
    action->setToolTip(blocks_.moveText(pointed_, c));
  }
  menu.setToolTipsVisible(true);
  menu.exec(event->globalPos());
}

QString StagesView::toolTip(int64_t index) const {
  const StageBlock& b = blocks_.blocks()[size_t(index)];
  const StageChunk& c = blocks_.chunks()[size_t(blocks_.chunkOf(index))];
  return tr("<b>%1</b>, %2<br>%3 a micro-batch, forward and backward, of %4 of the stage (%5)")
      .arg(b.name, c.name, text(b.time), text(c.time),
           term(provenanceName(shown_->report.provenance)));
}

bool StagesView::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const int64_t hit = blockAt(help->pos());
  if (hit >= 0 && !drag_)
    QToolTip::showText(help->globalPos(), toolTip(hit), this);
  else
    QToolTip::hideText();
  return true;
}

}  // namespace meshplan::gui
