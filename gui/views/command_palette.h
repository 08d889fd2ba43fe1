// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAction>
#include <QDialog>
#include <QLineEdit>
#include <QTreeWidget>
#include <vector>

namespace meshplan::gui {

/// How well letters that are typed fit a name: all of them must occur in it in their order; -1 when
/// they do not. Letters side by side and at the beginnings of words count more. Nothing typed fits
/// everything.
int fuzzyScore(const QString& typed, const QString& name);

/// "Save the plan …" without the mark of its key.
QString plainName(const QAction& action);
/// What can be done in a window: its actions by name, those that are disabled where they are
/// wanted, each once, those of menus with the menu's name before theirs ("File: Save the plan …").
struct NamedAction {
  QString name;
  QAction* action = nullptr;
};
std::vector<NamedAction> actionsOf(const QWidget& window, bool disabledToo = false);

/// All that can be done, by typing some letters of its name: arrows choose, Enter does it.
class CommandPalette : public QDialog {
  Q_OBJECT

 public:
  explicit CommandPalette(QWidget* window);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void filter(const QString& typed);
  void trigger();

  std::vector<NamedAction> actions_;
  QLineEdit* line_;
  QTreeWidget* list_;
};

}  // namespace meshplan::gui
