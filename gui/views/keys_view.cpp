// SPDX-License-Identifier: Apache-2.0
#include "gui/views/keys_view.h"

#include <QDialogButtonBox>
#include <QHeaderView>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "gui/views/command_palette.h"
#include "gui/views/timeline_help.h"

namespace meshplan::gui {

KeysView::KeysView(QWidget* window) : QDialog(window) {
  setObjectName("KeysView");
  setAttribute(Qt::WA_DeleteOnClose);
  setWindowTitle(tr("Keys"));
  auto* list = new QTreeWidget(this);
  list->setObjectName("keys");
  list->setAccessibleName(tr("Keys"));
  list->setHeaderLabels({tr("Key"), tr("What it does")});
  list->setRootIsDecorated(false);
  list->setUniformRowHeights(true);
  list->setTabKeyNavigation(false);
  const auto group = [&](const QString& name) {
    auto* item = new QTreeWidgetItem(list, {name});
    QFont bold = font();
    bold.setBold(true);
    item->setFont(0, bold);
    item->setFirstColumnSpanned(true);
    item->setExpanded(true);
    return item;
  };
  auto* everywhere = group(tr("Everywhere"));
  for (const NamedAction& named : actionsOf(*window, true)) {
    const QString key = named.action->shortcut().toString(QKeySequence::NativeText);
    if (!key.isEmpty()) new QTreeWidgetItem(everywhere, {key, named.name});
  }
  const KeyLine moves[] = {{tr("Tab, Shift+Tab"), tr("next, previous control")},
                           {tr("Alt"), tr("menus, by their underlined letters")},
                           {tr("Space, Enter"), tr("press a button, show a plan")}};
  for (const auto& [key, what] : moves) new QTreeWidgetItem(everywhere, {key, what});
  auto* timeline = group(tr("In the timeline"));
  for (const auto& [key, what] : timelineKeys()) new QTreeWidgetItem(timeline, {key, what});
  list->header()->setSectionResizeMode(QHeaderView::ResizeToContents);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
  auto* column = new QVBoxLayout(this);
  column->addWidget(list);
  column->addWidget(buttons);
  for (const int c : {0, 1}) list->resizeColumnToContents(c);
  const int wide = list->columnWidth(0) + list->columnWidth(1);
  resize(wide + fontMetrics().averageCharWidth() * 14, fontMetrics().height() * 40);
}

}  // namespace meshplan::gui
