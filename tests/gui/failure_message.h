// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <QMessageBox>
#include <QTimer>

#include "gui/main_window.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {

/// Closes the message of the failure that `action` leads to, and returns it.
template <class Do>
QString failureOf(MainWindow& window, const Do& action) {
  QString told;
  QTimer closer;
  closer.setInterval(20);
  QObject::connect(&closer, &QTimer::timeout, [&] {
    if (auto* box = window.findChild<QMessageBox*>("failure")) {
      told = box->text();
      box->accept();
    }
  });
  closer.start();
  action();
  EXPECT_TRUE(QTest::qWaitFor([&] { return !told.isEmpty(); }, kWaitMs));
  return told;
}

}  // namespace meshplan::gui
