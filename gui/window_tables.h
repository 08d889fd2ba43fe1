// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractItemModel>
#include <QWidget>
#include <memory>
#include <vector>

#include "gui/session.h"

namespace meshplan::gui {

/// A table that can be exported, as it is shown: filtered and sorted.
struct NamedTable {
  QString name;
  std::shared_ptr<QAbstractItemModel> model;
};

/// The tables of a page: every table and tree that is visible on it, with rows. Where plans are, so
/// is the Pareto front alone; where memory is painted, its figures.
std::vector<NamedTable> tablesOf(const QWidget& page, const Session& session);
/// The one with the keyboard's focus, else the first; null when there is none.
std::shared_ptr<QAbstractItemModel> currentTable(const QWidget& page, const Session& session);

}  // namespace meshplan::gui
