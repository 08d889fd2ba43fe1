// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QTableView>

#include "gui/models/comparison_table.h"
#include "gui/selection.h"
#include "gui/session.h"

class QComboBox;
class QLabel;
class QPushButton;
class QSplitter;

namespace meshplan::gui {

class OperatorDifferenceView;
class StepLanesView;

/// Two steps side by side: of pinned plans, of the one that is shown, or what the last run was
/// predicted to be and measured. Figures, operator by operator, and moment by moment.
class CompareView : public QWidget {
  Q_OBJECT

 public:
  CompareView(Session& session, Selection& selection, QWidget* parent = nullptr);

  /// What can be chosen, in the order of the boxes.
  const std::vector<ComparedStep>& choices() const { return choices_; }
  void choose(int first, int second);
  /// Steps that belong to no session.
  void showSteps(const ComparedStep& first, const ComparedStep& second);
  /// Whether all that was chosen is drawn.
  bool settled() const;
  const OperatorDifferenceView& operators() const { return *operators_; }
  void swap();

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  void layOut();
  void fillChoices();
  void followPins();
  void followRun();
  void unpin();
  int pinnedAt(const QComboBox& box) const;         // -1: none
  ComparedStep chosen(const QComboBox& box) const;  // of nothing: none is
  void showChoices(const std::vector<ComparedStep>& old);
  void compare();

  Session& session_;
  std::vector<ComparedStep> choices_;
  size_t pinned_ = 0;
  ComparisonTable table_;
  QComboBox *first_, *second_;
  QPushButton *unpin_, *swap_;
  QLabel *headline_, *empty_;
  QTableView* view_;
  OperatorDifferenceView* operators_;
  StepLanesView* lanes_;
  QSplitter *upper_, *all_;
};

}  // namespace meshplan::gui
