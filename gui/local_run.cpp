// SPDX-License-Identifier: Apache-2.0
#include "gui/local_run.h"

#include <csignal>

#include <QCoreApplication>
#include <QFile>
#include <QFileInfo>
#include <nlohmann/json.hpp>

#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr int kPatienceMs = 3000;

/// Beside this program as installed, or in the build tree.
QString commandLineProgram() {
  const QString own = QCoreApplication::applicationDirPath();
  for (const char* place : {"/meshplan", "/../cli/meshplan"})
    if (QFileInfo(own + place).isFile()) return own + place;
  return QStringLiteral("meshplan");
}

}  // namespace

LocalRun::LocalRun(QObject* parent) : QObject(parent) {
  connect(&process_, &QProcess::readyReadStandardOutput, this, &LocalRun::readLines);
  connect(&process_, &QProcess::finished, this, &LocalRun::finishProcess);
  connect(&process_, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
    if (error == QProcess::FailedToStart)
      Q_EMIT failed(tr("%1 does not start").arg(process_.program()));
  });
}

LocalRun::~LocalRun() {
  process_.disconnect(this);
  if (!running()) return;
  process_.terminate();
  if (!process_.waitForFinished(kPatienceMs)) process_.kill();
  process_.waitForFinished(kPatienceMs);
}

void LocalRun::start(const ShownPlan& plan, const LocalRunSettings& settings) {
  if (running()) return;
  const QString path = folder_.filePath("plan.json");
  const std::string json = planToJson(planFileOf(plan.document->planning(), plan.report));
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(json.data(), qint64(json.size())) < 0)
    return Q_EMIT failed(tr("%1 cannot be written").arg(path));
  file.close();
  QStringList words = {"run",      path,
                       "--format", "jsonl",
                       "--steps",  QString::number(settings.steps),
                       "--lr",     QString::number(settings.learningRate)};
  if (settings.gpus)
    words << "--backend"
          << "cuda";
  process_.start(commandLineProgram(), words);
}

void LocalRun::stop() {
  if (running()) kill(static_cast<pid_t>(process_.processId()), SIGINT);
}

void LocalRun::readLines() {
  while (process_.canReadLine()) {
    const QByteArray line = process_.readLine();
    const auto json = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    if (!json.is_object()) continue;
    if (json.contains("loss"))
      Q_EMIT stepped(json["step"].get<int>(), json["loss"].get<double>(),
                     json["seconds"].get<double>());
    else if (json.contains("measured"))
      Q_EMIT finished(json["measured"]["run"].get<qint64>(),
                      json["measured"]["predicted_step_seconds"].get<double>(),
                      json["measured"]["median_step_seconds"].get<double>());
  }
}

void LocalRun::finishProcess(int code) {
  readLines();
  const QString said = QString::fromUtf8(process_.readAllStandardError()).trimmed();
  constexpr int kInterrupted = 130;
  if (code != 0 && code != kInterrupted)
    Q_EMIT failed(said.isEmpty() ? tr("the run ended with %1").arg(code) : said);
  Q_EMIT ended();
}

}  // namespace meshplan::gui
