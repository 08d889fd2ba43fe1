// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QLocale>
#include <QString>
#include <QTranslator>

class QCoreApplication;

namespace meshplan::gui {

/// A translation of the app. Texts of functions outside classes are found under their namespace,
/// where lupdate puts them.
class Translation : public QTranslator {
  Q_OBJECT

 public:
  using QTranslator::QTranslator;

  QString translate(const char* context, const char* source, const char* disambiguation = nullptr,
                    int n = -1) const override;
};

/// The languages that the app was built with, beside English.
QStringList translations();
/// Speaks a language ("de") from now on, Qt's own texts included; what is not translated stays
/// English. False when there is no such translation; nothing changes then.
bool speak(QCoreApplication& app, const QString& language);

}  // namespace meshplan::gui
