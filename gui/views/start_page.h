// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QVBoxLayout>
#include <QWidget>

#include "gui/document.h"

namespace meshplan::gui {

/// What one sees first: examples to press, files opened before, a place to drop one on.
class StartPage : public QWidget {
  Q_OBJECT

 public:
  explicit StartPage(QWidget* parent = nullptr);

  void showRecent(const QStringList& files);

 Q_SIGNALS:
  void chosen(const meshplan::gui::OpenRequest& request);
  void fileChosen(const QString& path);
  void openPressed();
  void choosePressed();

 private:
  void addExample(const QString& name, const QString& what, const OpenRequest& request);

  QHBoxLayout* examples_;
  QVBoxLayout* recent_;
};

}  // namespace meshplan::gui
