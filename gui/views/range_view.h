// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <optional>

#include "gui/models/range_statistics.h"
#include "gui/models/range_table.h"
#include "gui/selection.h"
#include "gui/session.h"

class QCheckBox;
class QLabel;
class QSortFilterProxyModel;
class QTableView;

namespace meshplan::gui {

/// Compute, optimizer, exposed communication and idle as one bar with their names below; of a
/// measured step a second bar for what was predicted.
class ShareBar : public QWidget {
  Q_OBJECT

 public:
  explicit ShareBar(QWidget* parent);
  /// `predicted` may be null.
  void setStatistics(const RangeStatistics& statistics, const RangeStatistics* predicted);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  struct Part {
    QString text;
    double share, predictedShare;
    SpanKind kind;
  };
  int columns() const;
  void paintBar(QPainter& painter, double y, const QString& name, double Part::*share);

  std::vector<Part> parts_;
  bool both_ = false;
};

/// Statistics of the selected part of the step on the selected ranks; of all of it when nothing is
/// selected. Where a run is shown, what was measured beside what was predicted for the same
/// instructions. Long timelines are summed up beside.
class RangeView : public QWidget {
  Q_OBJECT

 public:
  RangeView(Session& session, Selection& selection, QWidget* parent = nullptr);
  ~RangeView() override;

  const RangeStatistics& statistics() const { return statistics_; }
  RangeTable& table() { return table_; }

 public Q_SLOTS:
  /// The run that is shown in the place of the plan; null: none.
  void showRun(std::shared_ptr<const meshplan::Comparison> run);

 private:
  /// What is summed up: a timeline file, a run, else the shown plan; no owner: nothing.
  struct Looked {
    std::shared_ptr<const void> owner;
    const Program* program = nullptr;
    const Graph* graph = nullptr;
    const Timeline* timeline = nullptr;
    const Timeline* predicted = nullptr;  // of a run, whose measured timeline it is
    EvidenceTable evidence;
  };

  struct Sums {
    RangeStatistics shown;
    std::optional<RangeStatistics> predicted;
  };

  Looked looked() const;
  static Sums sumOf(const Looked& at, const std::optional<TimeRange>& chosen,
                    const std::vector<size_t>& rankClasses, bool fold);
  void layOut();
  void refresh();
  void take(Sums sums);
  void describe();
  std::vector<size_t> rankClasses() const;
  void clicked(const QModelIndex& index);

  Session& session_;
  Selection& selection_;
  Jobs jobs_;
  std::shared_ptr<const Comparison> run_;
  RangeStatistics statistics_;
  RangeTable table_;
  QSortFilterProxyModel* sorted_;
  QLabel *title_, *empty_;
  ShareBar* bar_;
  QCheckBox* fold_;
  QTableView* view_;
};

}  // namespace meshplan::gui
