// SPDX-License-Identifier: Apache-2.0
// What a session opens.
#include <QFileInfo>

#include "gui/file_kind.h"
#include "gui/models/trace_scene.h"
#include "gui/session.h"
#include "gui/session_file.h"

namespace meshplan::gui {
namespace {

/// What constraintsText made.
std::map<QString, QString> constraintsFrom(const QString& text) {
  std::map<QString, QString> out;
  for (const QString& word : text.split(',', Qt::SkipEmptyParts))
    out[word.section('=', 0, 0)] = word.section('=', 1);
  return out;
}

}  // namespace

void Session::openFile(const QString& path) {
  try {
    OpenRequest request = document_ ? document_->request() : OpenRequest();
    const std::string file = QFileInfo(path).absoluteFilePath().toStdString();
    switch (kindOfFile(file)) {
      case FileKind::plan:
        request.planPath = file;
        break;
      case FileKind::cluster:
        if (!document_)
          throw Error(ErrorKind::usage, "a cluster alone cannot be planned",
                      "open a model first, then this file")
              .inFile(file);
        request.planPath.clear();
        request.clusterJson.clear();
        request.globalBatch = 0;
        request.cluster = file;
        break;
      case FileKind::session:
        return restore(
            readSessionFile(file), [](const std::optional<Error>&) {},
            [this](const Error& error) { fail(error); });
      case FileKind::timeline:
        return openTrace(
            file, [] {}, [this](const Error& error) { fail(error); });
      case FileKind::profiles:
        return openStore(file);
      case FileKind::model:
        request.planPath.clear();
        request.clusterJson.clear();
        request.globalBatch = 0;
        request.model = ModelRequest{};
        request.model.source = file;
    }
    open(std::move(request));
  } catch (const Error& error) {
    fail(error);
  }
}

void Session::restore(const SessionFile& file,
                      std::function<void(const std::optional<Error>&)> done,
                      std::function<void(const Error&)> failed) {
  cancelSearch();
  jobs_.cancel(Jobs::Lane::simulate);
  jobs_.run<RestoredSession>(
      Jobs::Lane::load,
      [this, file](const JobPointer& job) { return restoredSession(file, tellFrom(job)); },
      [this, done = std::move(done), constraints = file.constraints](RestoredSession restored) {
        const std::optional<Error> changed = restored.changed;
        take(std::move(restored));
        setConstraints(constraintsFrom(QString::fromStdString(constraints)));
        if (!shown_) startSearch();
        done(changed);
      },
      std::move(failed));
}

void Session::take(RestoredSession restored) {
  document_ = restored.shown ? restored.shown->document : restored.document;
  shown_ = std::move(restored.shown);
  dropTrace();
  pinned_ = std::move(restored.pinned);
  found_ = {};
  foundFor_.reset();
  search_ = {};
  edits_.clear();
  Q_EMIT documentChanged();
  Q_EMIT searchChanged();
  Q_EMIT foundChanged();
  Q_EMIT pinnedChanged();
  Q_EMIT shownChanged();
}

void Session::openTrace(const std::string& path, std::function<void()> done,
                        std::function<void(const Error&)> failed) {
  using Pointer = std::shared_ptr<const OpenTrace>;
  jobs_.run<Pointer>(
      Jobs::Lane::load,
      [path](const JobPointer&) {
        return std::make_shared<const OpenTrace>(OpenTrace{path, readTraceScene(path)});
      },
      [this, done = std::move(done)](Pointer trace) {
        trace_ = std::move(trace);
        Q_EMIT traceChanged();
        done();
      },
      std::move(failed));
}

void Session::dropTrace() {
  if (!trace_) return;
  trace_.reset();
  Q_EMIT traceChanged();
}

void Session::openStore(const std::string& path) {
  using Pointer = std::shared_ptr<const OpenStore>;
  jobs_.run<Pointer>(
      Jobs::Lane::load,
      [path](const JobPointer&) {
        const ProfileStore store(path, ProfileStore::Access::read);
        return std::make_shared<const OpenStore>(OpenStore{path, store.runs()});
      },
      [this](const Pointer& store) { Q_EMIT storeOpened(store); },
      [this](const Error& error) { fail(error); });
}

void Session::useProfiles(const std::string& path) {
  setProfiles(path);
  if (!document_) return;
  SessionFile now;
  now.request = document_->request();
  now.request.planPath.clear();
  now.request.profilesPath = path;
  now.constraints = constraintsText().toStdString();
  if (shown_) now.shown = savedPlan(*shown_);
  for (const auto& plan : pinned_) now.pinned.push_back(savedPlan(*plan));
  restore(
      now, [](const std::optional<Error>&) {}, [this](const Error& error) { fail(error); });
}

void Session::compareWithRun(int64_t id, const std::string& path) {
  jobs_.run<std::shared_ptr<const Comparison>>(
      Jobs::Lane::compare,
      [id, path = path.empty() ? profiles_ : path](const JobPointer&) {
        const ProfileStore store(path, ProfileStore::Access::read);
        RunMeasurement run = findRun(store.runs(), std::to_string(id)).value();
        return std::make_shared<const Comparison>(
            compareRun(std::move(run), store.instructions(id), false, {}, [](const Notice&) {}));
      },
      [this](std::shared_ptr<const Comparison> compared) {
        compared_ = std::move(compared);
        Q_EMIT comparedChanged();
      },
      [this](const Error& error) { fail(error); });
}

}  // namespace meshplan::gui
