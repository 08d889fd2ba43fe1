// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>

#include "gui/models/range_statistics.h"
#include "gui/models/range_table.h"
#include "gui/selection.h"
#include "gui/session.h"

class QCheckBox;
class QLabel;
class QSortFilterProxyModel;
class QTableView;

namespace meshplan::gui {

/// Compute, optimizer, exposed communication and idle as one bar with their names below.
class ShareBar : public QWidget {
  Q_OBJECT

 public:
  explicit ShareBar(QWidget* parent);
  void setStatistics(const RangeStatistics& statistics);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  struct Part {
    QString text;
    double share;
    SpanKind kind;
  };
  std::vector<Part> parts_;
};

/// Statistics of the selected part of the step on the selected ranks; of all of it when nothing is
/// selected. Long timelines are summed up beside.
class RangeView : public QWidget {
  Q_OBJECT

 public:
  RangeView(Session& session, Selection& selection, QWidget* parent = nullptr);
  ~RangeView() override;

  const RangeStatistics& statistics() const { return statistics_; }
  RangeTable& table() { return table_; }

 private:
  /// What is summed up: a timeline file, else the shown plan; no owner: nothing.
  struct Looked {
    std::shared_ptr<const void> owner;
    const Program* program = nullptr;
    const Graph* graph = nullptr;
    const Timeline* timeline = nullptr;
  };

  Looked looked() const;
  void layOut();
  void refresh();
  void take(RangeStatistics statistics);
  void describe();
  std::vector<size_t> rankClasses() const;
  void clicked(const QModelIndex& index);

  Session& session_;
  Selection& selection_;
  Jobs jobs_;
  RangeStatistics statistics_;
  RangeTable table_;
  QSortFilterProxyModel* sorted_;
  QLabel *title_, *empty_;
  ShareBar* bar_;
  QCheckBox* fold_;
  QTableView* view_;
};

}  // namespace meshplan::gui
