// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QLockFile>
#include <QObject>
#include <QTimer>
#include <functional>
#include <memory>

#include "gui/jobs.h"
#include "gui/selection.h"
#include "gui/session.h"
#include "gui/session_file.h"

namespace meshplan::gui {

/// Keeps the session on disk: `last.meshplan` in a folder, written beside the interface a second
/// after a change. A program that dies while it writes leaves the file before. One process keeps a
/// folder; another one that runs at the same time keeps nothing.
///
/// A session that cannot be restored (damaged file, vanished model, or the last start died in it)
/// is never deleted: its file gets another name, and `told` says which.
class SessionKeeper : public QObject {
  Q_OBJECT

 public:
  SessionKeeper(Session& session, Selection& selection, QObject* parent = nullptr);
  ~SessionKeeper() override;

  /// What the window adds to a session, and takes from one that was restored.
  using Write = std::function<void(SessionFile&)>;
  using Read = std::function<void(const SessionFile&)>;
  void setWindow(Write write, Read read);

  /// Saves there from now on. Before restore().
  void keepIn(const QString& folder);
  /// Opens the session of the last time, if there is one.
  void restore();
  /// Opens a session file of the user's.
  void open(const QString& path);
  /// Throws Error(runtime).
  void saveAs(const QString& path) const;

  /// Something has changed that the session does not tell itself.
  void touch();
  /// Writes now what is not written yet.
  void flush();
  QString path() const { return folder_ + "/last.meshplan"; }

 Q_SIGNALS:
  void told(const QString& problem, const QString& remedy);
  /// Each attempt, in the end.
  void finished();

 private:
  /// What is to be written, without what takes long.
  struct Snapshot {
    SessionFile file;
    std::shared_ptr<const ShownPlan> shown;
    std::vector<std::shared_ptr<const ShownPlan>> pinned;
    SessionFile complete() const;
  };

  Snapshot snapshot() const;
  bool worthSaving() const;
  void save();
  void start(const SessionFile& file, bool own);
  void openTrace(const SessionFile& file, bool own);
  void restored(const SessionFile& file);
  void failed(const Error& error, bool own);
  void settle();
  QString setAside();
  void tell(const Error& error, const QString& kept);
  QString marker() const { return folder_ + "/restoring"; }

  Session& session_;
  Selection& selection_;
  Jobs jobs_;
  QTimer debounce_, settled_;
  Write write_;
  Read read_;
  QString folder_;
  std::unique_ptr<QLockFile> lock_;
  bool keeps_ = false, dirty_ = false, writing_ = false, restoring_ = false;
};

}  // namespace meshplan::gui
