// SPDX-License-Identifier: Apache-2.0
#include "gui/jobs.h"

#include <QCoreApplication>
#include <algorithm>
#include <optional>

namespace meshplan::gui {
namespace {

Error asError(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::runtime, "there is not enough memory");
  } catch (const std::exception& error) {
    return Error(ErrorKind::internal, error.what());
  }
}

}  // namespace

Jobs::Jobs(QObject* parent) : QObject(parent) {
  pool_.setMaxThreadCount(static_cast<int>(kLanes) * 2);
}

Jobs::~Jobs() {
  for (const JobPointer& job : running_)
    if (job) job->cancel();
  pool_.waitForDone();
  QCoreApplication::removePostedEvents(this);
}

bool Jobs::busy() const {
  return std::any_of(running_.begin(), running_.end(), [](const JobPointer& j) { return !!j; });
}

void Jobs::cancel(Lane lane) {
  JobPointer& job = running_[size_t(lane)];
  if (!job) return;
  job->cancel();
  job.reset();
  Q_EMIT busyChanged();
}

void Jobs::post(const JobPointer& job, std::function<void()> f) {
  QMetaObject::invokeMethod(
      this,
      [job, f = std::move(f)] {
        if (!job->cancelled()) f();
      },
      Qt::QueuedConnection);
}

void Jobs::finish(Lane lane, const JobPointer& job) {
  if (running_[size_t(lane)] != job) return;
  running_[size_t(lane)].reset();
  Q_EMIT busyChanged();
}

void Jobs::start(Lane lane, JobPointer job,
                 std::function<std::function<void()>(const JobPointer&)> work,
                 std::function<void(const Error&)> failed) {
  if (running_[size_t(lane)]) running_[size_t(lane)]->cancel();
  running_[size_t(lane)] = job;
  Q_EMIT busyChanged();
  pool_.start([this, lane, job, work = std::move(work), failed = std::move(failed)] {
    std::function<void()> done;
    try {
      done = work(job);
    } catch (...) {
      done = [failed, error = asError(std::current_exception())] { failed(error); };
    }
    post(job, [this, lane, job, done = std::move(done)] {
      finish(lane, job);
      done();
    });
  });
}

}  // namespace meshplan::gui
