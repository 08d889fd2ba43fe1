// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QLabel>

#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// Why the shown plan is what it is: where its time goes, what binds, how it stands against the
/// baselines.
class SummaryView : public QLabel {
  Q_OBJECT

 public:
  SummaryView(Session& session, Selection& selection, QWidget* parent = nullptr);

 private:
  void show();

  Session& session_;
};

}  // namespace meshplan::gui
