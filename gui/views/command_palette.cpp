// SPDX-License-Identifier: Apache-2.0
#include "gui/views/command_palette.h"

#include <QCoreApplication>
#include <QHeaderView>
#include <QKeyEvent>
#include <QMenu>
#include <QMenuBar>
#include <QPointer>
#include <QSet>
#include <QVBoxLayout>
#include <algorithm>

namespace meshplan::gui {
namespace {

constexpr int kActionRole = Qt::UserRole;

QString withoutMark(QString name) {
  return name.replace("&&", "\n").remove('&').replace('\n', '&');
}

void addMenu(std::vector<NamedAction>& out, QSet<QAction*>& seen, const QMenu& menu,
             const QString& path, bool disabledToo) {
  for (QAction* action : menu.actions()) {
    if (action->isSeparator() || seen.contains(action)) continue;
    seen.insert(action);
    const QString name = plainName(*action);
    if (action->menu())
      addMenu(out, seen, *action->menu(), path + ": " + name, disabledToo);
    else if ((action->isEnabled() || disabledToo) && action->isVisible())
      out.push_back({path + ": " + name, action});
  }
}

}  // namespace

int fuzzyScore(const QString& typed, const QString& name) {
  int score = 0;
  qsizetype at = 0, last = -2;
  for (const QChar letter : typed) {
    if (letter.isSpace()) continue;
    // The beginning of a word is worth a leap.
    qsizetype found = name.indexOf(letter, at, Qt::CaseInsensitive);
    for (qsizetype f = found; f >= 0; f = name.indexOf(letter, f + 1, Qt::CaseInsensitive))
      if (f == last + 1 || f == 0 || !name[f - 1].isLetterOrNumber()) {
        found = f;
        break;
      }
    if (found < 0) return -1;
    if (found == last + 1) score += 3;
    if (found == 0 || !name[found - 1].isLetterOrNumber()) score += 4;
    score += 1;
    last = found;
    at = found + 1;
  }
  return score;
}

QString plainName(const QAction& action) {
  return withoutMark(action.text());
}

std::vector<NamedAction> actionsOf(const QWidget& window, bool disabledToo) {
  std::vector<NamedAction> out;
  QSet<QAction*> seen;
  for (const QMenuBar* bar : window.findChildren<const QMenuBar*>())
    for (const QAction* top : bar->actions())
      if (top->menu()) addMenu(out, seen, *top->menu(), plainName(*top), disabledToo);
  for (QAction* action : window.findChildren<QAction*>()) {
    const auto* owner = qobject_cast<const QWidget*>(action->parent());
    const bool ofPopup = owner && owner != &window && !owner->isVisible();
    if (action->isSeparator() || action->menu() || ofPopup || seen.contains(action)) continue;
    if (!action->isEnabled() && !disabledToo) continue;
    if (!action->isVisible() || action->text().isEmpty()) continue;
    if (!owner || owner->inherits("QLineEdit") || owner->inherits("QMenu")) continue;
    seen.insert(action);
    out.push_back({plainName(*action), action});
  }
  return out;
}

CommandPalette::CommandPalette(QWidget* window)
    : QDialog(window),
      actions_(actionsOf(*window)),
      line_(new QLineEdit(this)),
      list_(new QTreeWidget(this)) {
  setObjectName("CommandPalette");
  setAttribute(Qt::WA_DeleteOnClose);
  setWindowTitle(tr("Commands"));
  line_->setPlaceholderText(tr("Type what you want to do"));
  line_->setAccessibleName(tr("Name of a command"));
  line_->installEventFilter(this);
  list_->setAccessibleName(tr("Commands"));
  list_->setObjectName("commands");
  list_->setFocusPolicy(Qt::NoFocus);
  list_->setUniformRowHeights(true);
  list_->setRootIsDecorated(false);
  list_->setHeaderHidden(true);
  list_->setColumnCount(2);
  list_->header()->setStretchLastSection(false);
  list_->header()->setSectionResizeMode(0, QHeaderView::Stretch);
  list_->header()->setSectionResizeMode(1, QHeaderView::ResizeToContents);
  auto* column = new QVBoxLayout(this);
  column->addWidget(line_);
  column->addWidget(list_);
  connect(line_, &QLineEdit::textChanged, this, &CommandPalette::filter);
  connect(line_, &QLineEdit::returnPressed, this, &CommandPalette::trigger);
  connect(list_, &QTreeWidget::itemClicked, this, &CommandPalette::trigger);
  filter({});
  resize(fontMetrics().averageCharWidth() * 72, fontMetrics().height() * 20);
  move(window->mapToGlobal(QPoint((window->width() - width()) / 2, window->height() / 8)));
}

void CommandPalette::filter(const QString& typed) {
  std::vector<std::pair<int, const NamedAction*>> fits;
  for (const NamedAction& action : actions_)
    if (const int score = fuzzyScore(typed, action.name); score >= 0)
      fits.push_back({score, &action});
  std::stable_sort(fits.begin(), fits.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  list_->clear();
  for (const auto& [score, named] : fits) {
    const QString key = named->action->shortcut().toString(QKeySequence::NativeText);
    auto* item = new QTreeWidgetItem(list_, {named->name, key});
    item->setData(0, kActionRole, QVariant::fromValue<QObject*>(named->action));
  }
  list_->setCurrentItem(list_->topLevelItem(0));
}

void CommandPalette::trigger() {
  const QTreeWidgetItem* item = list_->currentItem();
  if (!item) return;
  const QPointer<QAction> action =
      qobject_cast<QAction*>(item->data(0, kActionRole).value<QObject*>());
  close();
  if (action) action->trigger();
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::KeyPress) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    const bool moves = key == Qt::Key_Up || key == Qt::Key_Down || key == Qt::Key_PageUp ||
                       key == Qt::Key_PageDown;
    if (moves) return QCoreApplication::sendEvent(list_, event);
  }
  return QDialog::eventFilter(watched, event);
}

}  // namespace meshplan::gui
