// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractItemModel>
#include <QString>

namespace meshplan::gui {

/// What a model's data() gives for a cell whose text is a quantity: its number in SI units (bytes,
/// seconds, shares of 1), for spreadsheets. headerData() gives the unit, where there is one.
inline constexpr int kNumberRole = Qt::UserRole + 100;

enum class TableFormat { csv, markdown };

/// All rows of a model as text. CSV as in RFC 4180, with numbers where the model has them and their
/// unit in the header; Markdown as people read it, with numbers to the right. Rows of a tree are
/// indented in Markdown, and in CSV have their level in a column of its own.
QString tableText(const QAbstractItemModel& model, TableFormat format);

/// By the name: .csv or .md. Throws Error(usage) for other names and Error(runtime) when the file
/// cannot be written; a file that was there stays until the new one is whole.
void exportTable(const QAbstractItemModel& model, const QString& path);

}  // namespace meshplan::gui
