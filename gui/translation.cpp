// SPDX-License-Identifier: Apache-2.0
#include "gui/translation.h"

#include <QCoreApplication>
#include <QDir>
#include <QLibraryInfo>

namespace meshplan::gui {

QString Translation::translate(const char* context, const char* source, const char* disambiguation,
                               int n) const {
  const QByteArray own(context);
  for (const QByteArray& name :
       {own, "meshplan::gui::" + own, QByteArray("meshplan::gui"), QByteArray("QObject")})
    if (const QString found = QTranslator::translate(name.constData(), source, disambiguation, n);
        !found.isEmpty())
      return found;
  return {};
}

QStringList translations() {
  QStringList out;
  for (const QString& file : QDir(":/translations").entryList({"meshplan_*.qm"}))
    out << file.section('_', 1).section('.', 0, 0);
  return out;
}

bool speak(QCoreApplication& app, const QString& language) {
  const QString code = language.section('_', 0, 0).section('-', 0, 0).toLower();
  auto* own = new Translation(&app);
  if (!translations().contains(code) ||
      !own->load("meshplan_" + code, QStringLiteral(":/translations"))) {
    delete own;
    return false;
  }
  app.installTranslator(own);
  auto* qt = new QTranslator(&app);
  if (qt->load("qtbase_" + code, QLibraryInfo::path(QLibraryInfo::TranslationsPath)))
    app.installTranslator(qt);
  return true;
}

}  // namespace meshplan::gui
