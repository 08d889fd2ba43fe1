// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QObject>
#include <QString>
#include <QUndoStack>
#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "app/comparison.h"
#include "gui/document.h"
#include "gui/jobs.h"

namespace meshplan::gui {

struct RestoredSession;
struct SessionFile;
struct TimelineScene;

/// A timeline file that is looked at.
struct OpenTrace {
  std::string path;
  std::shared_ptr<const TimelineScene> scene;
};
/// A profile store that was opened, with its runs, newest first.
struct OpenStore {
  std::string path;
  std::vector<RunMeasurement> runs;
};

/// How far a search is; all zero while none runs.
struct SearchState {
  bool running = false, complete = false;
  uint64_t evaluated = 0, simulated = 0, toSimulate = 0;
  Seconds best;  // the step of the best so far; 0: none yet
};

/// The open document, its plans and the plan that all views show; everything slow runs beside the
/// user interface. Views read it and ask it for changes; they never plan themselves.
class Session : public QObject {
  Q_OBJECT

 public:
  explicit Session(QObject* parent = nullptr);
  ~Session() override;

  /// Null until something is open.
  const std::shared_ptr<const Document>& document() const { return document_; }
  const std::shared_ptr<const ShownPlan>& shown() const { return shown_; }
  /// What the last search found: plans, baselines, Pareto front.
  const SearchResult& found() const { return found_; }
  /// Whether that was for the open document as it is now, under these constraints.
  bool foundIsCurrent() const;
  const SearchState& search() const { return search_; }
  /// Plans that the user set aside to compare with.
  const std::vector<std::shared_ptr<const ShownPlan>>& pinned() const { return pinned_; }
  /// The last run of this session beside its prediction; null: none yet.
  const std::shared_ptr<const Comparison>& compared() const { return compared_; }
  QUndoStack& edits() { return edits_; }
  bool busy() const { return jobs_.busy(); }

  /// Opens beside; then searches, or shows the plan that was opened. What was open stays until
  /// then.
  void open(OpenRequest request);
  /// A model, plan, cluster, session, timeline or profile store, told by its content. A cluster is
  /// taken for the open model.
  void openFile(const QString& path);
  void openTrace(const std::string& path, std::function<void()> done,
                 std::function<void(const Error&)> failed);
  /// Null unless the timeline shows a file and not the shown plan; until a plan is shown.
  const std::shared_ptr<const OpenTrace>& trace() const { return trace_; }
  /// Goes on with a saved session: shows its plan without a search, or searches where it has none.
  /// `done` is told what has made the plans useless, if something has. On an error all stays.
  void restore(const SessionFile& file, std::function<void(const std::optional<Error>&)> done,
               std::function<void(const Error&)> failed);
  /// Under the constraints.
  void startSearch();
  /// Ends the search with the best so far.
  void stopSearch();
  /// Ends it without a result.
  void cancelSearch();

  /// Shows a plan of the document, as an edit that can be undone; `what` names it.
  void show(const PlanReport& report, const QString& what);
  void edit(const Plan& plan, const QString& what);
  /// Moves a block of the shown plan, with those between it and the edge of its pipeline chunk, to
  /// another chunk (moveBlock of planner/search/stages.h).
  void moveLayer(int64_t block, int64_t chunk);
  /// What searches must keep to, by key of a strategy: "tp" is "4". As an edit that can be undone;
  /// an empty value drops the key.
  const std::map<QString, QString>& constraints() const { return constraints_; }
  QString constraintsText() const;
  void constrain(const QString& key, const QString& value);
  /// The plan of a strategy (evaluateStrategy).
  void tryStrategy(const QString& strategy, const QString& what);
  /// The shown plan's strategy on a cluster that differs.
  void tryScenario(const Scenario& scenario);
  /// A run of this profile store; empty: of the user's.
  void compareWithRun(int64_t id, const std::string& store = {});
  /// Predicts from this store from now on, what is open as well.
  void useProfiles(const std::string& path);
  /// Where predictions of models that are opened from now on look for measurements, and runs go.
  void setProfiles(const std::string& path) { profiles_ = path; }
  void pin();
  void unpin(size_t index);

 Q_SIGNALS:
  void documentChanged();
  void shownChanged();
  void foundChanged();
  void searchChanged();
  void constraintsChanged();
  void pinnedChanged();
  void comparedChanged();
  void traceChanged();
  void storeOpened(const std::shared_ptr<const meshplan::gui::OpenStore>& store);
  void busyChanged();
  void failed(const QString& problem, const QString& remedy);
  void noticed(const QString& text);

 private:
  class Edit;
  class ConstraintEdit;

  using Make = std::function<std::shared_ptr<const ShownPlan>()>;

  void dropTrace();
  void openStore(const std::string& path);
  void opened(std::shared_ptr<const Document> document);
  void take(RestoredSession restored);
  void setShown(std::shared_ptr<const ShownPlan> shown);
  void setConstraints(std::map<QString, QString> constraints);
  /// Beside, then as an edit.
  void make(const QString& what, Make make);
  void searched(SearchResult result);
  void fail(const Error& error);
  Tell tellFrom(const JobPointer& job);

  Jobs jobs_;
  std::shared_ptr<const Document> document_;
  std::shared_ptr<const ShownPlan> shown_;
  SearchResult found_;
  std::shared_ptr<const Document> foundFor_;
  QString foundUnder_;
  SearchState search_;
  std::shared_ptr<std::atomic<bool>> stopSearch_;
  std::map<QString, QString> constraints_;
  std::vector<std::shared_ptr<const ShownPlan>> pinned_;
  std::shared_ptr<const Comparison> compared_;
  std::shared_ptr<const OpenTrace> trace_;
  std::string profiles_;
  QUndoStack edits_;
};

}  // namespace meshplan::gui
