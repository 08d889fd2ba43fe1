// SPDX-License-Identifier: Apache-2.0
#include "gui/session.h"

#include <QUndoCommand>
#include <thread>

#include "planner/search/stages.h"

namespace meshplan::gui {

/// From one shown plan to another.
class Session::Edit : public QUndoCommand {
 public:
  Edit(Session& session, std::shared_ptr<const ShownPlan> to, const QString& text)
      : QUndoCommand(text), session_(session), from_(session.shown()), to_(std::move(to)) {}
  void redo() override { session_.setShown(to_); }
  void undo() override { session_.setShown(from_); }

 private:
  Session& session_;
  std::shared_ptr<const ShownPlan> from_, to_;
};

/// From one set of constraints on searches to another.
class Session::ConstraintEdit : public QUndoCommand {
 public:
  ConstraintEdit(Session& session, std::map<QString, QString> to, const QString& text)
      : QUndoCommand(text), session_(session), from_(session.constraints_), to_(std::move(to)) {}
  void redo() override { session_.setConstraints(to_); }
  void undo() override { session_.setConstraints(from_); }

 private:
  Session& session_;
  std::map<QString, QString> from_, to_;
};

Session::Session(QObject* parent) : QObject(parent) {
  connect(&jobs_, &Jobs::busyChanged, this, &Session::busyChanged);
}

Session::~Session() {
  jobs_.disconnect(this);
}

void Session::fail(const Error& error) {
  QString where = QString::fromStdString(error.file());
  if (!error.place().empty())
    where += (where.isEmpty() ? "" : ": ") + QString::fromStdString(error.place());
  const QString problem = QString::fromStdString(error.problem());
  Q_EMIT failed(where.isEmpty() ? problem : where + ": " + problem,
                QString::fromStdString(error.remedy()));
}

Tell Session::tellFrom(const JobPointer& job) {
  return [this, job](const Notice& notice) {
    jobs_.post(job, [this, notice] { Q_EMIT noticed(QString::fromStdString(notice.text)); });
  };
}

void Session::open(OpenRequest request) {
  cancelSearch();
  jobs_.cancel(Jobs::Lane::simulate);
  if (request.profilesPath.empty()) request.profilesPath = profiles_;
  jobs_.run<std::shared_ptr<const Document>>(
      Jobs::Lane::load,
      [this, request](const JobPointer& job) { return Document::open(request, tellFrom(job)); },
      [this](std::shared_ptr<const Document> document) { opened(std::move(document)); },
      [this](const Error& error) { fail(error); });
}

void Session::opened(std::shared_ptr<const Document> document) {
  document_ = std::move(document);
  shown_.reset();
  dropTrace();
  found_ = {};
  foundFor_.reset();
  pinned_.clear();
  edits_.clear();
  constraints_.clear();
  Q_EMIT documentChanged();
  Q_EMIT constraintsChanged();
  Q_EMIT shownChanged();
  Q_EMIT foundChanged();
  Q_EMIT pinnedChanged();
  if (document_->plan())
    edit(*document_->plan(), tr("Open a plan"));
  else
    startSearch();
}

void Session::startSearch() {
  if (!document_) return;
  SearchOptions options;
  const QString constraints = constraintsText();
  options.filter = parseStrategy(constraints.toStdString());
  options.globalBatch = document_->globalBatch();
  options.top = 200;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  search_ = {};
  search_.running = true;
  Q_EMIT searchChanged();
  stopSearch_ = std::make_shared<std::atomic<bool>>(false);
  jobs_.run<SearchResult>(
      Jobs::Lane::search,
      [this, document = document_, options, stop = stopSearch_](const JobPointer& job) mutable {
        options.stop = [&job, &stop] { return *stop || job->cancelled(); };
        options.progress = [this, &job](const SearchProgress& p) {
          const Seconds best = p.best ? p.best->stepTime : Seconds(0);
          jobs_.post(job, [this, p, best] {
            search_ = {true, false, p.evaluated, p.simulated, p.toSimulate, best};
            Q_EMIT searchChanged();
          });
        };
        return searchPlans(document->context(), options);
      },
      [this, document = document_, constraints](SearchResult result) {
        foundFor_ = document;
        foundUnder_ = constraints;
        searched(std::move(result));
      },
      [this](const Error& error) {
        search_ = {};
        Q_EMIT searchChanged();
        fail(error);
      });
}

void Session::stopSearch() {
  if (search_.running) *stopSearch_ = true;
}

void Session::cancelSearch() {
  if (!search_.running) return;
  jobs_.cancel(Jobs::Lane::search);
  search_ = {};
  Q_EMIT searchChanged();
}

void Session::searched(SearchResult result) {
  search_ = {false, result.complete, result.evaluated, result.simulated, 0, Seconds(0)};
  found_ = std::move(result);
  Q_EMIT searchChanged();
  Q_EMIT foundChanged();
  if (!found_.plans.empty()) return show(found_.plans.front(), tr("Search"));
  if (found_.nearestMiss) show(*found_.nearestMiss, tr("Search"));
  if (foundUnder_.isEmpty())
    Q_EMIT failed(tr("No plan fits"), tr("take more or larger devices, or a smaller global batch"));
  else
    Q_EMIT failed(tr("No plan with %1 fits").arg(foundUnder_),
                  tr("drop some of it, or take more or larger devices"));
}

bool Session::foundIsCurrent() const {
  return foundFor_ == document_ && foundUnder_ == constraintsText();
}

QString Session::constraintsText() const {
  QStringList words;
  for (const auto& [key, value] : constraints_) words << key + "=" + value;
  return words.join(',');
}

void Session::constrain(const QString& key, const QString& value) {
  std::map<QString, QString> changed = constraints_;
  try {
    parseStrategy((value.isEmpty() ? QString() : key + "=" + value).toStdString());
  } catch (const Error& error) {
    return fail(error);
  }
  if (value.isEmpty())
    changed.erase(key);
  else
    changed[key] = value;
  if (changed == constraints_) return;
  const QString what =
      value.isEmpty() ? tr("Search any %1").arg(key) : tr("Search only %1 = %2").arg(key, value);
  edits_.push(new ConstraintEdit(*this, std::move(changed), what));
}

void Session::setConstraints(std::map<QString, QString> constraints) {
  constraints_ = std::move(constraints);
  Q_EMIT constraintsChanged();
}

void Session::setShown(std::shared_ptr<const ShownPlan> shown) {
  const bool other = shown && shown->document != document_;
  if (other) document_ = shown->document;
  dropTrace();
  shown_ = std::move(shown);
  if (other) Q_EMIT documentChanged();
  Q_EMIT shownChanged();
}

void Session::make(const QString& what, Make make) {
  jobs_.run<std::shared_ptr<const ShownPlan>>(
      Jobs::Lane::simulate, [make = std::move(make)](const JobPointer&) { return make(); },
      [this, what](std::shared_ptr<const ShownPlan> shown) {
        edits_.push(new Edit(*this, std::move(shown), what));
      },
      [this](const Error& error) { fail(error); });
}

void Session::show(const PlanReport& report, const QString& what) {
  const bool cutByHand = constraints_.count("stages") > 0;
  make(what, [document = document_, plan = report.plan, label = report.label, cutByHand] {
    return showPlan(document, plan, label, cutByHand);
  });
}

void Session::edit(const Plan& plan, const QString& what) {
  make(what, [document = document_, plan] {
    return showPlan(document, plan, "edited", isCutByHand(*document, plan));
  });
}

void Session::moveLayer(int64_t block, int64_t chunk) {
  if (!shown_) return;
  Plan plan = shown_->report.plan;
  try {
    plan.chunkStarts = moveBlock(plan.chunkStarts, block, chunk);
  } catch (const Error& error) {
    return fail(error);
  }
  if (plan.chunkStarts == shown_->report.plan.chunkStarts) return;
  make(tr("Move layers"),
       [document = document_, plan] { return showPlan(document, plan, "edited", true); });
}

void Session::tryStrategy(const QString& strategy, const QString& what) {
  if (!document_) return;
  make(what, [document = document_, text = strategy.toStdString()] {
    const StrategyFilter filter = parseStrategy(text);
    const PlanReport report =
        evaluateStrategy(document->context(), document->globalBatch(), filter);
    return showPlan(document, report.plan, "tried", !filter.blocksPerChunk.empty());
  });
}

void Session::tryScenario(const Scenario& scenario) {
  if (!shown_) return;
  make(tr("Change the cluster"), [shown = shown_, scenario] {
    return showPlan(shown->document->in(scenario), shown->report.plan, shown->report.label,
                    shown->cutByHand);
  });
}

void Session::pin() {
  if (!shown_) return;
  pinned_.push_back(shown_);
  Q_EMIT pinnedChanged();
}

void Session::unpin(size_t index) {
  if (index >= pinned_.size()) return;
  pinned_.erase(pinned_.begin() + static_cast<ptrdiff_t>(index));
  Q_EMIT pinnedChanged();
}

}  // namespace meshplan::gui
