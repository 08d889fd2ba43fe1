// SPDX-License-Identifier: Apache-2.0
#include "gui/views/placement_view.h"

#include <QHBoxLayout>
#include <QHelpEvent>
#include <QLabel>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <QVBoxLayout>
#include <algorithm>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kNodeGap = 4, kLeastSide = 3, kLargestSide = 44, kLargestHeight = 320;
// Sized so that people tell them apart on every cell: Okabe and Ito's vermillion, black/white,
// blue.
const QColor kTensor(0xd5, 0x5e, 0x00), kData(0xcc, 0x79, 0xa7), kPipeline(0x00, 0x72, 0xb2);
constexpr double kThickest = 5;  // line, in pixels

QColor axisColour(MeshAxis axis) {
  return axis == MeshAxis::tensor ? kTensor : axis == MeshAxis::data ? kData : kPipeline;
}

}  // namespace

MeshMatrix::MeshMatrix(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent), session_(session), selection_(selection) {
  setObjectName("MeshMatrix");
  setAccessibleName(tr("Ranks of the mesh"));
  setMouseTracking(true);
  QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Minimum);
  policy.setHeightForWidth(true);
  setSizePolicy(policy);
  setFocusPolicy(Qt::StrongFocus);
  connect(&session_, &Session::shownChanged, this, &MeshMatrix::show);
  connect(&selection_, &Selection::ranksChanged, this, qOverload<>(&QWidget::update));
  show();
}

void MeshMatrix::show() {
  cells_ = session_.shown() ? MeshCells(*session_.shown()) : MeshCells();
  hovered_ = -1;
  updateGeometry();
  update();
}

void MeshMatrix::colourBy(MeshCells::ColourBy by) {
  by_ = by;
  update();
}

double MeshMatrix::headerWidth() const {
  return fontMetrics().horizontalAdvance(tr("stage %1").arg(99)) + 10;
}
double MeshMatrix::headerHeight() const {
  return fontMetrics().height() + 6;
}

double MeshMatrix::gap() const {
  return cells_.columns() > 32 ? 1 : 2;
}

/// What fits into the width.
double MeshMatrix::sideFor(double width) const {
  const auto columns = static_cast<double>(cells_.columns());
  const int64_t last = cells_.columns() - 1;
  if (cells_.empty()) return kLargestSide;
  const double nodeGaps = kNodeGap * static_cast<double>(cells_.node(last) - cells_.node(0));
  return (width - headerWidth() - nodeGaps - kNodeGap) / columns - gap();
}

double MeshMatrix::side() const {
  const double high = (height() - headerHeight()) / static_cast<double>(cells_.rows()) - gap();
  return std::clamp(std::min(sideFor(width()), high), kLeastSide, kLargestSide);
}

QSize MeshMatrix::sizeHint() const {
  return {420, heightForWidth(420)};
}

int MeshMatrix::heightForWidth(int width) const {
  const auto rows = static_cast<double>(cells_.rows());
  const double most = std::max(kLargestHeight, rows * (kLeastSide + gap()));
  const double wide = std::clamp(sideFor(width), kLeastSide, kLargestSide);
  const double high = std::min(most, rows * (wide + gap())) + gap();
  return static_cast<int>(headerHeight() + std::max<double>(high, fontMetrics().height()));
}

QRectF MeshMatrix::cell(int64_t rank) const {
  const int64_t column = cells_.column(rank), row = cells_.row(rank);
  const double step = side() + gap();
  // Nodes apart, as far as the first row tells.
  const double apart = kNodeGap * static_cast<double>(cells_.node(column) - cells_.node(0));
  return {headerWidth() + static_cast<double>(column) * step + apart,
          headerHeight() + static_cast<double>(row) * step, side(), side()};
}

int64_t MeshMatrix::rankAt(QPointF at) const {
  if (cells_.empty()) return -1;
  const auto row = static_cast<int64_t>((at.y() - headerHeight()) / (side() + gap()));
  if (at.y() < headerHeight() || row >= cells_.rows()) return -1;
  for (int64_t c = 0; c < cells_.columns(); ++c)
    if (cell(cells_.rank(row, c)).contains(at)) return cells_.rank(row, c);
  return -1;
}

int64_t MeshMatrix::stageNameAt(QPointF at) const {
  if (cells_.empty() || at.x() > headerWidth() || at.y() < headerHeight()) return -1;
  const auto row = static_cast<int64_t>((at.y() - headerHeight()) / (side() + gap()));
  return row < cells_.rows() ? row : -1;
}

QColor MeshMatrix::colourOf(int64_t rank) const {
  const double value = cells_.value(rank, by_);
  if (by_ == MeshCells::ColourBy::stage) return stageColour(cells_.row(rank), cells_.rows());
  if (by_ == MeshCells::ColourBy::memory && value > 1) return kTensor;
  return scaleColour(value);
}

void MeshMatrix::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  paint(painter);
}

void MeshMatrix::paint(QPainter& painter) {
  painter.setRenderHint(QPainter::Antialiasing);
  if (cells_.empty()) {
    painter.setPen(palette().color(QPalette::PlaceholderText));
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap,
                     tr("The ranks of the plan stand here once a model is open."));
    return;
  }
  paintHeaders(painter);
  paintCells(painter);
  paintGroups(painter);
}

void MeshMatrix::paintHeaders(QPainter& painter) {
  painter.setPen(palette().color(QPalette::WindowText));
  const double step = side() + gap();
  const int every = std::max(1, static_cast<int>(std::ceil(fontMetrics().height() / step)));
  for (int64_t row = 0; row < cells_.rows(); row += every)
    painter.drawText(
        QRectF(0, headerHeight() + static_cast<double>(row) * step - fontMetrics().height(),
               headerWidth() - 6, side() + 2 * fontMetrics().height()),
        Qt::AlignRight | Qt::AlignVCenter, tr("stage %1").arg(row));
  const MeshShape& mesh = cells_.mesh();
  QString across = tr("data %1").arg(mesh.replicas());
  if (mesh.expert > 1) across += tr(" (experts over %1)").arg(mesh.expert);
  across += tr(" × tensor %1").arg(mesh.tensor);
  painter.drawText(QRectF(headerWidth(), 0, width() - headerWidth(), headerHeight()),
                   Qt::AlignLeft | Qt::AlignVCenter, across);
}

void MeshMatrix::paintCells(QPainter& painter) {
  const bool named = side() > fontMetrics().horizontalAdvance("0000");
  const bool all = selection_.ranks().empty();
  for (int64_t rank = 0; rank < cells_.mesh().ranks(); ++rank) {
    const QRectF box = cell(rank);
    QColor colour = colourOf(rank);
    if (!all && !selection_.containsRank(rank)) colour.setAlphaF(0.35);
    painter.setPen(Qt::NoPen);
    painter.setBrush(colour);
    painter.drawRoundedRect(box, 2, 2);
    if (!named) continue;
    painter.setPen(textOn(colour));
    painter.drawText(box, Qt::AlignCenter, QString::number(rank));
  }
}

void MeshMatrix::paintGroups(QPainter& painter) {
  const std::vector<int64_t>& chosen = selection_.ranks();
  const int64_t rank = hovered_ >= 0 ? hovered_ : chosen.size() == 1 ? chosen.front() : -1;
  if (rank < 0 || rank >= cells_.mesh().ranks()) return;
  const std::vector<MeshLink> links = cells_.links(rank);
  double most = 1;
  for (const MeshLink& link : links) most = std::max(most, double(link.sent.value));
  for (const MeshLink& link : links) paintLink(painter, link, double(link.sent.value) / most);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(palette().color(QPalette::WindowText), 2));
  painter.drawRect(cell(rank).adjusted(1, 1, -1, -1));
}

/// The group's cells framed and joined: the thicker the more it sends, dashed where it leaves a
/// node.
void MeshMatrix::paintLink(QPainter& painter, const MeshLink& link, double share) {
  const QColor colour = axisColour(link.axis);
  const double inset = link.axis == MeshAxis::tensor ? 0 : -1;
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(colour, 2));
  QPolygonF way;
  for (int64_t r : link.ranks) {
    painter.drawRect(cell(r).adjusted(inset, inset, -inset, -inset));
    way << cell(r).center();
  }
  painter.setPen(
      QPen(colour, 1 + (kThickest - 1) * share, link.leavesNode ? Qt::DashLine : Qt::SolidLine));
  painter.drawPolyline(way);
}

void MeshMatrix::mouseMoveEvent(QMouseEvent* event) {
  const int64_t rank = rankAt(event->position());
  if (rank == hovered_) return;
  hovered_ = rank;
  update();
}

void MeshMatrix::mousePressEvent(QMouseEvent* event) {
  std::vector<int64_t> ranks;
  if (event->modifiers() & Qt::ControlModifier) ranks = selection_.ranks();
  if (const int64_t rank = rankAt(event->position()); rank >= 0)
    ranks.push_back(rank);
  else if (const int64_t stage = stageNameAt(event->position()); stage >= 0)
    for (int64_t c = 0; c < cells_.columns(); ++c) ranks.push_back(cells_.rank(stage, c));
  selection_.setRanks(std::move(ranks));
}

void MeshMatrix::leaveEvent(QEvent*) {
  hovered_ = -1;
  update();
}

bool MeshMatrix::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const int64_t rank = rankAt(help->pos()), stage = stageNameAt(help->pos());
  if (rank >= 0)
    QToolTip::showText(help->globalPos(), cells_.toolTip(rank), this);
  else if (stage >= 0)
    QToolTip::showText(help->globalPos(), cells_.stageText(stage), this);
  else
    QToolTip::hideText();
  return true;
}

PlacementView::PlacementView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent), matrix_(new MeshMatrix(session, selection, this)) {
  setObjectName("PlacementView");
  setAccessibleName(tr("Placement"));
  auto* by = new QComboBox(this);
  by->setObjectName("colourBy");
  by->setAccessibleName(tr("Colour by"));
  by->addItems({tr("stage"), tr("memory of the limit"), tr("computing"), tr("idle")});
  connect(by, &QComboBox::currentIndexChanged, matrix_,
          [this](int i) { matrix_->colourBy(static_cast<MeshCells::ColourBy>(i)); });
  const auto swatch = [](const QColor& colour, const QString& name) {
    return QStringLiteral("<span style='color:%1'>■</span>&nbsp;%2 ").arg(colour.name(), name);
  };
  auto* bar = new QHBoxLayout;
  bar->addWidget(new QLabel(tr("colour by"), this));
  bar->addWidget(by);
  bar->addStretch(1);
  auto* groups = new QLabel(this);
  groups->setWordWrap(true);
  groups->setText(tr("Point at a rank for its groups: %1. Lines are as thick as it sends bytes, "
                     "dashed where they leave a node.")
                      .arg(swatch(kTensor, tr("tensor")) + swatch(kData, tr("data")) +
                           swatch(kPipeline, tr("pipeline")).trimmed()));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(6, 4, 6, 4);
  layout->addLayout(bar);
  layout->addWidget(matrix_, 1);
  layout->addWidget(groups);
}

}  // namespace meshplan::gui
