// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QComboBox>
#include <QDialog>
#include <QLineEdit>
#include <QSpinBox>

#include "gui/document.h"

namespace meshplan::gui {

/// What is planned for what: a model by name or file, a cluster, the batch, how it is trained.
/// Starts from what is open.
class ModelDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ModelDialog(const OpenRequest& request, QWidget* parent = nullptr);

  /// What was filled in. Throws Error(usage) naming the field for what cannot be read.
  OpenRequest request() const;
  void accept() override;

 private:
  QComboBox* choices(const QString& name, const QStringList& items, const QString& value,
                     bool editable);
  QSpinBox* number(const QString& name, int64_t value);
  QLineEdit* line(const QString& name, const QString& hint, const QString& value);
  void browse(QComboBox* box, const QString& title, const QString& filter);

  const OpenRequest before_;
  QComboBox *model_, *cluster_, *precision_, *optimizer_;
  QSpinBox *sequence_, *batch_;
  QLineEdit *dims_, *settings_, *limit_;
};

}  // namespace meshplan::gui
