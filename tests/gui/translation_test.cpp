// SPDX-License-Identifier: Apache-2.0
// The window in German: translated, and nothing of it cut off.
#include "gui/translation.h"

#include <gtest/gtest.h>

#include <QAbstractButton>
#include <QApplication>
#include <QFile>
#include <QLabel>
#include <QMenuBar>
#include <QPushButton>
#include <QScrollArea>
#include <QSettings>
#include <QTemporaryDir>
#include <QTest>
#include <QToolBar>

#include "gui/main_window.h"
#include "gui/text.h"
#include "gui/views/timeline_help.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class German : public testing::Test {
 protected:
  void SetUp() override {
    if (!translations().contains("de")) GTEST_SKIP() << "built without Qt's linguist tools";
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder.path());
    QApplication::setOrganizationName("meshplan-test");
    ASSERT_TRUE(speak(*qApp, "de_AT"));
    window = std::make_unique<MainWindow>();
    window->resize(1024, 700);
    window->QWidget::show();
  }
  void TearDown() override {
    window.reset();
    for (auto* translator : qApp->findChildren<QTranslator*>()) delete translator;
  }
  void openSmall() {
    OpenRequest request = smallGpt();
    window->session().open(request);
    ASSERT_TRUE(settled(window->session()));
  }

  QTemporaryDir folder;
  std::unique_ptr<MainWindow> window;
};

/// Labels, buttons and tool bars that are smaller than what they say.
QStringList cutOff(const QWidget& window) {
  QStringList out;
  const auto report = [&](const QWidget* w, const QString& words) {
    out << QString("%1 '%2': %3 of %4 pixels")
               .arg(w->objectName(), words)
               .arg(w->width())
               .arg(w->sizeHint().width());
  };
  for (const auto* label : window.findChildren<const QLabel*>()) {
    if (!label->isVisible() || label->text().isEmpty()) continue;
    if (label->sizePolicy().horizontalPolicy() == QSizePolicy::Ignored) continue;
    const bool small = label->wordWrap()
                           ? label->heightForWidth(label->width()) > label->height() + 1
                           : label->sizeHint().width() > label->width() + 1;
    if (small) report(label, label->text());
  }
  for (const auto* button : window.findChildren<const QAbstractButton*>()) {
    if (!button->isVisible() || button->text().isEmpty()) continue;
    if (button->minimumSizeHint().width() > button->width() + 1) report(button, button->text());
  }
  for (const auto* bar : window.findChildren<const QToolBar*>()) {
    const auto* more = bar->findChild<QWidget*>("qt_toolbar_ext_button");
    if (more && more->isVisible()) out << bar->objectName() + " has no room for all";
  }
  return out;
}

TEST_F(German, MenusAndPagesHaveGermanNames) {
  QStringList menus;
  for (const QAction* action : window->menuBar()->actions()) menus << action->text().remove('&');
  EXPECT_EQ(menus, (QStringList{"Datei", "Bearbeiten", "Plan", "Ansicht", "Hilfe"}));
  EXPECT_EQ(window->findChild<QAction*>("workspace:timeline")->text(), "Zeitverlauf");
  EXPECT_EQ(window->findChild<QPushButton*>("open")->text(), "Datei öffnen …");
}

TEST_F(German, TextsOutsideClassesAndTermsOfTheLibrariesAreGermanToo) {
  EXPECT_EQ(timelineKeys()[2].second, "einen Zeitraum wählen");
  EXPECT_EQ(term("master weights"), "Hauptgewichte");
  EXPECT_EQ(term("no such term"), "no such term");
}

TEST_F(German, NothingIsCutOffInASmallWindow) {
  EXPECT_EQ(cutOff(*window).join("\n").toStdString(), "") << "on the start page";
  openSmall();
  for (const auto workspace : {MainWindow::Workspace::model, MainWindow::Workspace::plan,
                               MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
    window->show(workspace);
    QTest::qWait(100);
    EXPECT_EQ(window->size(), QSize(1024, 700));
    EXPECT_EQ(cutOff(*window).join("\n").toStdString(), "") << int(workspace);
    const QString pictures = qEnvironmentVariable("MESHPLAN_PICTURES");
    if (!pictures.isEmpty())
      window->grab().save(QString("%1/german-%2.png").arg(pictures).arg(int(workspace)));
  }
}

TEST(Translation, RefusesLanguagesThatItHasNot) {
  EXPECT_FALSE(speak(*qApp, "tlh"));
  EXPECT_FALSE(speak(*qApp, "en_US"));
}

/// %1 and the like, and the marks of keys in menus.
QStringList placesIn(const QString& text) {
  QStringList out;
  for (qsizetype i = 0; i + 1 < text.size(); ++i)
    if (text[i] == '%' && (text[i + 1].isDigit() || text[i + 1] == 'n')) out << text.mid(i, 2);
  out.sort();
  out.removeDuplicates();
  return out;
}

TEST(Translation, KeepsThePlacesOfNumbersAndTheTagsOfItsTexts) {
  QFile file(MESHPLAN_SOURCE_DIR "/gui/translations/meshplan_de.ts");
  ASSERT_TRUE(file.open(QIODevice::ReadOnly));
  const QString ts = QString::fromUtf8(file.readAll());
  int messages = 0;
  for (qsizetype at = ts.indexOf("<source>"); at >= 0; at = ts.indexOf("<source>", at + 1)) {
    const qsizetype end = ts.indexOf("</message>", at);
    const QString source = ts.mid(at + 8, ts.indexOf("</source>", at) - at - 8);
    const qsizetype from = ts.indexOf("<translation", at);
    ASSERT_TRUE(from >= 0 && from < end) << source.toStdString();
    const QString translation = ts.mid(from, end - from);
    EXPECT_EQ(placesIn(source), placesIn(translation)) << source.toStdString();
    EXPECT_EQ(source.count("&lt;"), translation.count("&lt;")) << source.toStdString();
    EXPECT_EQ(source.contains("&amp;") && !source.contains("&amp;nbsp"),
              translation.contains("&amp;") && !translation.contains("&amp;nbsp"))
        << source.toStdString();
    ++messages;
  }
  EXPECT_GT(messages, 400);
}

}  // namespace
}  // namespace meshplan::gui
