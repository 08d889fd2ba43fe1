// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QObject>
#include <QThreadPool>
#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>

#include "core/error.h"

namespace meshplan::gui {

/// What a running job may ask, from its own thread.
class JobControl {
 public:
  /// Whether its result is still wanted.
  bool cancelled() const { return cancelled_; }
  void cancel() { cancelled_ = true; }

 private:
  std::atomic<bool> cancelled_ = false;
};
using JobPointer = std::shared_ptr<JobControl>;

/// Work beside the user interface. Each kind of work has a lane: a new job in a lane cancels the
/// one before it, whose result is then dropped. Results and errors arrive in the thread of this
/// object. Destroying it cancels all jobs and waits for them.
class Jobs : public QObject {
  Q_OBJECT

 public:
  enum class Lane { load, simulate, search, compare };
  static constexpr size_t kLanes = 4;

  explicit Jobs(QObject* parent = nullptr);
  ~Jobs() override;

  /// Runs `work` on another thread, then `done` with its result here, unless it was cancelled.
  template <class Result>
  JobPointer run(Lane lane, std::function<Result(const JobPointer&)> work,
                 std::function<void(Result)> done, std::function<void(const Error&)> failed);

  void cancel(Lane lane);
  /// Until no thread works any more; results still arrive later.
  void wait() { pool_.waitForDone(); }
  bool busy(Lane lane) const { return running_[size_t(lane)] != nullptr; }
  bool busy() const;

  /// From a job's thread: `f` runs here while the job is wanted.
  void post(const JobPointer& job, std::function<void()> f);

 Q_SIGNALS:
  void busyChanged();

 private:
  void start(Lane lane, JobPointer job,
             std::function<std::function<void()>(const JobPointer&)> work,
             std::function<void(const Error&)> failed);
  void finish(Lane lane, const JobPointer& job);

  QThreadPool pool_;
  std::array<JobPointer, kLanes> running_;
};

template <class Result>
JobPointer Jobs::run(Lane lane, std::function<Result(const JobPointer&)> work,
                     std::function<void(Result)> done, std::function<void(const Error&)> failed) {
  auto job = std::make_shared<JobControl>();
  start(
      lane, job,
      [work = std::move(work), done = std::move(done)](const JobPointer& self) {
        auto result = std::make_shared<Result>(work(self));
        return [result, done] { done(std::move(*result)); };
      },
      std::move(failed));
  return job;
}

}  // namespace meshplan::gui
