// SPDX-License-Identifier: Apache-2.0
#include "gui/session_keeper.h"

#include <QDateTime>
#include <QDir>
#include <QFile>
#include <algorithm>

#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr int kDebounceMs = 1000;
constexpr int kSettleMs = 500;

std::optional<std::pair<double, double>> pairOf(const std::optional<TimeRange>& range) {
  if (!range) return {};
  return std::pair{range->begin.value, range->end.value};
}

}  // namespace

SessionKeeper::SessionKeeper(Session& session, Selection& selection, QObject* parent)
    : QObject(parent), session_(session), selection_(selection) {
  debounce_.setSingleShot(true);
  debounce_.setInterval(kDebounceMs);
  settled_.setSingleShot(true);
  settled_.setInterval(kSettleMs);
  connect(&debounce_, &QTimer::timeout, this, &SessionKeeper::save);
  connect(&settled_, &QTimer::timeout, this, &SessionKeeper::settle);
  connect(&session_, &Session::documentChanged, this, &SessionKeeper::touch);
  connect(&session_, &Session::shownChanged, this, &SessionKeeper::touch);
  connect(&session_, &Session::pinnedChanged, this, &SessionKeeper::touch);
  connect(&session_, &Session::traceChanged, this, &SessionKeeper::touch);
  connect(&session_, &Session::constraintsChanged, this, &SessionKeeper::touch);
  connect(&session_, &Session::busyChanged, this, [this] {
    if (restoring_ && !session_.busy()) settled_.start();
  });
  connect(&selection_, &Selection::operatorsChanged, this, &SessionKeeper::touch);
  connect(&selection_, &Selection::ranksChanged, this, &SessionKeeper::touch);
  connect(&selection_, &Selection::rangeChanged, this, &SessionKeeper::touch);
}

SessionKeeper::~SessionKeeper() {
  flush();
  if (keeps_) QFile::remove(marker());
}

void SessionKeeper::setWindow(Write write, Read read) {
  write_ = std::move(write);
  read_ = std::move(read);
}

void SessionKeeper::keepIn(const QString& folder) {
  folder_ = folder;
  QDir().mkpath(folder_);
  lock_ = std::make_unique<QLockFile>(folder_ + "/session.lock");
  lock_->setStaleLockTime(0);
  keeps_ = lock_->tryLock();
}

SessionFile SessionKeeper::Snapshot::complete() const {
  SessionFile out = file;
  if (shown) out.shown = savedPlan(*shown);
  for (const auto& plan : pinned) out.pinned.push_back(savedPlan(*plan));
  return out;
}

SessionKeeper::Snapshot SessionKeeper::snapshot() const {
  Snapshot out{{}, session_.shown(), session_.pinned()};
  if (session_.document()) out.file.request = session_.document()->request();
  out.file.request.planPath.clear();  // the plan itself is in the session
  for (OpId op : selection_.operators()) out.file.operators.push_back(uint32_t(op.index()));
  out.file.ranks = selection_.ranks();
  out.file.range = pairOf(selection_.range());
  if (!session_.document() && session_.trace()) out.file.trace = session_.trace()->path;
  out.file.constraints = session_.constraintsText().toStdString();
  if (write_) write_(out.file);
  return out;
}

bool SessionKeeper::worthSaving() const {
  return keeps_ && dirty_ && !restoring_ && (session_.document() || session_.trace());
}

void SessionKeeper::touch() {
  dirty_ = true;
  if (keeps_ && !debounce_.isActive()) debounce_.start();
}

void SessionKeeper::save() {
  if (!worthSaving() || writing_) return;
  dirty_ = false;
  writing_ = true;
  jobs_.run<bool>(
      Jobs::Lane::load,
      [snapshot = snapshot(), path = path().toStdString()](const JobPointer&) {
        writeSessionFile(path, snapshot.complete());
        return true;
      },
      [this](bool) {
        writing_ = false;
        if (dirty_) debounce_.start();
      },
      [this](const Error& error) {
        writing_ = false;
        Q_EMIT session_.noticed(tr("The session is not saved: %1").arg(text(error.what())));
      });
}

void SessionKeeper::flush() {
  jobs_.wait();  // or an older state would come last
  if (writing_) dirty_ = true;
  if (!worthSaving()) return;
  dirty_ = false;
  try {
    writeSessionFile(path().toStdString(), snapshot().complete());
  } catch (const Error&) {
    return;  // there is nobody left to tell
  }
}

void SessionKeeper::saveAs(const QString& path) const {
  writeSessionFile(path.toStdString(), snapshot().complete());
}

QString SessionKeeper::setAside() {
  const QString stamp = QDateTime::currentDateTimeUtc().toString("yyyyMMdd-HHmmss");
  QString name = QStringLiteral("%1/kept-%2.meshplan").arg(folder_, stamp);
  for (int n = 2; QFile::exists(name); ++n)
    name = QStringLiteral("%1/kept-%2-%3.meshplan").arg(folder_, stamp).arg(n);
  return QFile::rename(path(), name) ? name : path();
}

void SessionKeeper::tell(const Error& error, const QString& kept) {
  QString where = text(error.file());
  if (!error.place().empty()) where += (where.isEmpty() ? "" : ": ") + text(error.place());
  const QString problem = text(error.problem());
  QString remedy = text(error.remedy());
  if (!kept.isEmpty()) {
    if (!remedy.isEmpty()) remedy += "\n\n";
    remedy += tr("The last session is kept in %1; open that file to go on with it.").arg(kept);
  }
  Q_EMIT told(where.isEmpty() ? problem : where + ": " + problem, remedy);
}

void SessionKeeper::restore() {
  if (!keeps_ || !QFile::exists(path())) return Q_EMIT finished();
  if (QFile::exists(marker())) {
    QFile::remove(marker());
    tell(Error(ErrorKind::runtime,
               tr("Meshplan ended while it restored the last session").toStdString()),
         setAside());
    return Q_EMIT finished();
  }
  QFile mark(marker());
  mark.open(QIODevice::WriteOnly);
  mark.close();
  try {
    start(readSessionFile(path().toStdString()), true);
  } catch (const Error& error) {
    QFile::remove(marker());
    tell(error, setAside());
    Q_EMIT finished();
  }
}

void SessionKeeper::open(const QString& path) {
  try {
    start(readSessionFile(path.toStdString()), false);
  } catch (const Error& error) {
    tell(error, {});
    Q_EMIT finished();
  }
}

void SessionKeeper::start(const SessionFile& file, bool own) {
  restoring_ = true;
  if (!file.trace.empty()) return openTrace(file, own);
  session_.restore(
      file,
      [this, file, own](const std::optional<Error>& changed) {
        restored(file);
        if (changed) tell(*changed, own ? setAside() : QString());
      },
      [this, own](const Error& error) { failed(error, own); });
}

void SessionKeeper::openTrace(const SessionFile& file, bool own) {
  session_.openTrace(
      file.trace, [this, file] { restored(file); },
      [this, own](const Error& error) { failed(error, own); });
}

void SessionKeeper::failed(const Error& error, bool own) {
  restoring_ = false;
  if (own) QFile::remove(marker());
  tell(error, own ? setAside() : QString());
  Q_EMIT finished();
}

void SessionKeeper::restored(const SessionFile& file) {
  if (!file.operators.empty() && session_.shown()) {
    std::vector<OpId> operators;
    const size_t count = session_.document()->model().graph.operatorCount();
    for (uint32_t id : file.operators)
      if (id < count) operators.push_back(OpId(id));
    selection_.setOperators(std::move(operators));
  }
  if (session_.shown()) {
    std::vector<int64_t> ranks = file.ranks;
    std::erase_if(ranks,
                  [&](int64_t r) { return r >= session_.shown()->report.plan.mesh.ranks(); });
    selection_.setRanks(std::move(ranks));
  }
  if (file.range)
    selection_.setRange(TimeRange{Seconds(file.range->first), Seconds(file.range->second)});
  if (read_) read_(file);
  if (!session_.busy()) settled_.start();
}

void SessionKeeper::settle() {
  if (session_.busy()) return;
  restoring_ = false;
  if (keeps_) QFile::remove(marker());
  if (dirty_) touch();
  Q_EMIT finished();
}

}  // namespace meshplan::gui
