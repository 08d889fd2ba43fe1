// SPDX-License-Identifier: Apache-2.0
// The window without a mouse, and for those who hear it.
#include <gtest/gtest.h>

#include <QAbstractButton>
#include <QAbstractItemView>
#include <QAbstractScrollArea>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QMenuBar>
#include <QPushButton>
#include <QScrollBar>
#include <QSettings>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTreeWidget>

#include "gui/main_window.h"
#include "gui/views/command_palette.h"
#include "gui/views/timeline_view.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class Keyboard : public testing::Test {
 protected:
  void SetUp() override {
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder.path());
    QApplication::setOrganizationName("meshplan-test");
    window = std::make_unique<MainWindow>();
    window->resize(1440, 900);
    window->QWidget::show();
    window->activateWindow();
    ASSERT_TRUE(QTest::qWaitForWindowActive(window.get()));
  }
  static QWidget* focus() { return QApplication::focusWidget(); }
  /// Presses Tab until that has the focus.
  bool tabTo(const QWidget* wanted) {
    for (int i = 0; i < 200; ++i) {
      if (focus() && (focus() == wanted || wanted->isAncestorOf(focus()))) return true;
      QTest::keyClick(focus() ? focus() : static_cast<QWidget*>(window.get()), Qt::Key_Tab);
    }
    return false;
  }
  void press(Qt::Key key, Qt::KeyboardModifiers modifiers = {}) {
    QTest::keyClick(focus() ? focus() : static_cast<QWidget*>(window.get()), key, modifiers);
  }
  bool settled() { return gui::settled(window->session()); }
  void openSmall() {
    OpenRequest request = smallGpt();
    window->session().open(request);
    ASSERT_TRUE(settled());
  }
  template <class T>
  T* dialog(const char* name) {
    T* found = nullptr;
    EXPECT_TRUE(
        QTest::qWaitFor([&] { return (found = window->findChild<T*>(name)) != nullptr; }, kWaitMs))
        << name;
    return found;
  }

  QTemporaryDir folder;
  std::unique_ptr<MainWindow> window;
};

/// What a screen reader would say.
QString spoken(const QWidget& widget) {
  if (!widget.accessibleName().isEmpty()) return widget.accessibleName();
  if (const auto* button = qobject_cast<const QAbstractButton*>(&widget)) {
    if (!button->text().isEmpty()) return button->text();
    return button->toolTip();
  }
  if (const auto* label = qobject_cast<const QLabel*>(&widget)) return label->text();
  if (!widget.windowTitle().isEmpty()) return widget.windowTitle();
  for (const QLabel* label : widget.window()->findChildren<QLabel*>())
    if (label->buddy() == &widget) return label->text();
  return {};
}

/// Parts of a control that Qt makes, which speaks for them.
bool isPart(const QWidget& widget) {
  const QString name = widget.objectName();
  if (name.startsWith("qt_") || qobject_cast<const QScrollBar*>(&widget)) return true;
  if (qobject_cast<const QHeaderView*>(&widget)) return true;
  const QWidget* parent = widget.parentWidget();
  const auto* area = qobject_cast<const QAbstractScrollArea*>(parent);
  if (area && area->viewport() == &widget) return true;
  return parent && (parent->inherits("QComboBox") || parent->inherits("QAbstractSpinBox") ||
                    parent->inherits("QLineEdit") || parent->inherits("QTabBar"));
}

QStringList namelessIn(const QWidget& window) {
  QStringList out;
  for (const QWidget* widget : window.findChildren<QWidget*>()) {
    if (!widget->isVisible() || widget->focusPolicy() == Qt::NoFocus || isPart(*widget)) continue;
    if (spoken(*widget).isEmpty())
      out << QString("%1 '%2' in '%3'")
                 .arg(widget->metaObject()->className(), widget->objectName(),
                      widget->parentWidget()->objectName());
  }
  return out;
}

TEST_F(Keyboard, EverythingThatTakesTheFocusHasAName) {
  EXPECT_EQ(namelessIn(*window).join(", ").toStdString(), "") << "on the start page";
  openSmall();
  window->session().pin();
  for (const auto workspace : {MainWindow::Workspace::model, MainWindow::Workspace::plan,
                               MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
    window->show(workspace);
    QTest::qWait(50);
    EXPECT_EQ(namelessIn(*window).join(", ").toStdString(), "") << int(workspace);
  }
}

TEST_F(Keyboard, EveryControlIsReachedByTab) {
  openSmall();
  for (const auto workspace : {MainWindow::Workspace::model, MainWindow::Workspace::plan,
                               MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
    window->show(workspace);
    QTest::qWait(50);
    QSet<const QWidget*> reached;
    for (int i = 0; i < 300; ++i) {
      press(Qt::Key_Tab);
      if (focus()) reached.insert(focus());
    }
    QStringList missed;
    for (const QWidget* widget : window->findChildren<QWidget*>()) {
      const bool tabs = widget->focusPolicy() & Qt::TabFocus;
      if (!tabs || !widget->isVisible() || !widget->isEnabled() || isPart(*widget)) continue;
      const bool inside = std::any_of(reached.begin(), reached.end(), [&](const QWidget* r) {
        return r == widget || widget->isAncestorOf(r) || widget->focusProxy() == r;
      });
      if (!inside)
        missed << QString(widget->metaObject()->className()) + " " + widget->objectName();
    }
    EXPECT_EQ(missed.join(", ").toStdString(), "") << int(workspace);
  }
}

TEST_F(Keyboard, FromTheStartPageToTheTimelineWithoutAMouse) {
  const auto* example = window->findChild<QPushButton*>("example:llama3-8b");
  ASSERT_TRUE(tabTo(example));
  press(Qt::Key_Space);
  ASSERT_TRUE(QTest::qWaitFor([&] { return window->session().document() != nullptr; }, kWaitMs));
  ASSERT_TRUE(settled());
  press(Qt::Key_F5);
  EXPECT_TRUE(window->session().search().running);
  ASSERT_TRUE(settled());
  press(Qt::Key_2, Qt::ControlModifier);
  auto* plans = window->findChild<QTableView*>("planTable");
  ASSERT_TRUE(tabTo(plans));
  const std::string best = window->session().shown()->report.strategy;
  press(Qt::Key_Down);
  press(Qt::Key_Return);
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return window->session().shown()->report.strategy != best; }, kWaitMs));
  press(Qt::Key_3, Qt::ControlModifier);
  auto* timeline = window->findChild<TimelineView*>();
  ASSERT_TRUE(tabTo(timeline));
  const double before = timeline->state().window().length();
  press(Qt::Key_W);
  EXPECT_LT(timeline->state().window().length(), before);
}

TEST_F(Keyboard, ThePaletteDoesWhatIsTyped) {
  openSmall();
  window->show(MainWindow::Workspace::plan);
  press(Qt::Key_P, Qt::ControlModifier | Qt::ShiftModifier);
  auto* palette = dialog<CommandPalette>("CommandPalette");
  ASSERT_TRUE(palette);
  auto* list = palette->findChild<QTreeWidget*>("commands");
  EXPECT_GT(list->topLevelItemCount(), 15);
  QTest::keyClicks(palette->findChild<QLineEdit*>(), "pin to comp");
  ASSERT_GT(list->topLevelItemCount(), 0);
  EXPECT_TRUE(list->topLevelItem(0)->text(0).contains("Pin to compare"));
  EXPECT_EQ(list->topLevelItem(0)->text(1), "Ctrl+B");
  QTest::keyClick(palette->findChild<QLineEdit*>(), Qt::Key_Return);
  EXPECT_EQ(window->session().pinned().size(), 1u);
}

TEST_F(Keyboard, ThePaletteOffersOnlyWhatCanBeDone) {
  const std::vector<NamedAction> atStart = actionsOf(*window);
  const auto has = [](const std::vector<NamedAction>& all, const QString& name) {
    return std::any_of(all.begin(), all.end(),
                       [&](const NamedAction& a) { return a.name.contains(name); });
  };
  EXPECT_TRUE(has(atStart, "Open …"));
  EXPECT_FALSE(has(atStart, "Timeline"));
  openSmall();
  EXPECT_TRUE(has(actionsOf(*window), "Timeline"));
}

TEST_F(Keyboard, F1ListsTheKeys) {
  openSmall();
  press(Qt::Key_F1);
  auto* keys = dialog<QTreeWidget>("keys");
  ASSERT_TRUE(keys);
  QStringList all;
  for (int g = 0; g < keys->topLevelItemCount(); ++g)
    for (int i = 0; i < keys->topLevelItem(g)->childCount(); ++i)
      all << keys->topLevelItem(g)->child(i)->text(0);
  EXPECT_TRUE(all.contains("Ctrl+O"));
  EXPECT_TRUE(all.contains("F5"));
  EXPECT_TRUE(all.contains("Ctrl+Z"));  // also while there is nothing to undo
  EXPECT_TRUE(all.contains("W  S"));
}

TEST(FuzzyScore, PrefersBeginningsOfWordsAndLettersSideBySide) {
  EXPECT_EQ(fuzzyScore("xyz", "Save the plan"), -1);
  EXPECT_EQ(fuzzyScore("", "Save the plan"), 0);
  EXPECT_GT(fuzzyScore("sp", "Save the plan"), fuzzyScore("sp", "Display"));
  EXPECT_GT(fuzzyScore("plan", "Save the plan"), fuzzyScore("plan", "Copy line and"));
  EXPECT_GE(fuzzyScore("SAVE", "Save"), 4);
}

}  // namespace
}  // namespace meshplan::gui
