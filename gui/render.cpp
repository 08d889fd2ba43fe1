// SPDX-License-Identifier: Apache-2.0
#include "gui/render.h"

#include <fmt/format.h>

#include <QApplication>
#include <QEventLoop>
#include <QFileInfo>
#include <QTimer>

#include "gui/export_table.h"
#include "gui/export_view.h"
#include "gui/models/memory_table.h"
#include "gui/session.h"
#include "gui/text.h"
#include "gui/views/compare_view.h"
#include "gui/views/memory_view.h"
#include "gui/views/model_view.h"
#include "gui/views/operator_difference_view.h"
#include "gui/views/placement_view.h"
#include "gui/views/plans_view.h"
#include "gui/views/stages_view.h"
#include "gui/views/timeline_picture.h"
#include "profiles/profile_store.h"

namespace meshplan::gui {
namespace {

constexpr int kPollMs = 5;
constexpr int kPatienceMs = 600000;

/// Until it holds; the session works beside.
template <class Holds>
void wait(const Holds& holds) {
  QEventLoop loop;
  QTimer poll;
  QObject::connect(&poll, &QTimer::timeout, &loop, [&] {
    if (holds()) loop.quit();
  });
  poll.start(kPollMs);
  QTimer::singleShot(kPatienceMs, &loop, &QEventLoop::quit);
  loop.exec();
}

void openIn(Session& session, const OpenRequest& request) {
  QString problem, remedy;
  QObject::connect(&session, &Session::failed, [&](const QString& what, const QString& hint) {
    problem = what;
    remedy = hint;
  });
  session.setProfiles(defaultProfilePath());
  session.open(request);
  wait([&] { return !problem.isEmpty() || (session.shown() && !session.busy()); });
  if (!problem.isEmpty())
    throw Error(ErrorKind::input, problem.toStdString(), remedy.toStdString());
}

void drawWidget(QWidget& widget, const QString& path, QSize size) {
  widget.resize(size.isValid() ? size : widget.sizeHint().expandedTo(QSize(900, 300)));
  widget.ensurePolished();
  if (!exportWidget(widget, path))
    throw Error(ErrorKind::runtime, "cannot be written", "check the folder and the free space")
        .inFile(path.toStdString());
}

void drawModel(Session& session, Selection& selection, const QString& path, QSize size) {
  ModelView view(session, selection);
  bool drawn = false;
  QObject::connect(&view.graph(), &GraphView::drawn, [&] { drawn = true; });
  view.resize(size.isValid() ? size : QSize(1200, 900));
  view.show();
  wait([&] { return drawn; });
  drawWidget(view, path, view.size());
}

void drawTimeline(const Session& session, const QString& path, QSize size) {
  const ShownPlan& shown = *session.shown();
  if (!size.isValid()) size = timelinePictureSize(shown).toSize();
  const bool written = exportPicture(
      path, size, [&](QPainter& painter) { paintTimeline(painter, QSizeF(size), shown); });
  if (!written)
    throw Error(ErrorKind::runtime, "cannot be written", "check the folder and the free space")
        .inFile(path.toStdString());
}

/// Of a plan file, too.
void searchIn(Session& session) {
  if (!session.found().plans.empty()) return;
  session.startSearch();
  wait([&] { return !session.busy(); });
}

void drawPlans(Session& session, Selection& selection, const QString& path, QSize size) {
  searchIn(session);
  PlansView view(session, selection);
  drawWidget(view, path, size.isValid() ? size : QSize(1200, 900));
}

bool isRun(const QString& with) {
  bool number = false;
  with.toLongLong(&number);
  return number || with == "last";
}

/// What the shown plan is held against.
ComparedStep otherStep(const Session& session, const QString& with) {
  const auto& document = session.document();
  std::shared_ptr<const ShownPlan> plan;
  if (QFileInfo::exists(with)) {
    OpenRequest request;
    request.planPath = with.toStdString();
    request.profilesPath = document->request().profilesPath;
    const auto other = Document::open(request, [](const Notice&) {});
    if (!other->plan())
      throw Error(ErrorKind::usage, "no plan is in it", "`meshplan plan --out` writes one")
          .inFile(with.toStdString());
    plan = showPlan(other, *other->plan(), "other");
  } else if (!with.contains('=')) {
    throw Error(ErrorKind::usage, "there is no such file, and it is no strategy",
                "--with another plan file, a strategy such as tp=8, or `last` for the last run")
        .inFile(with.toStdString());
  } else {
    const PlanReport report = evaluateStrategy(document->context(), document->globalBatch(),
                                               parseStrategy(with.toStdString()));
    plan = showPlan(document, report.plan, "other");
  }
  return stepOf(plan, text(plan->strategy()));
}

std::array<ComparedStep, 2> stepsOf(Session& session, const QString& with) {
  if (with.isEmpty())
    throw Error(ErrorKind::usage, "compare needs something to compare with",
                "--with another plan file, a strategy such as tp=8, or `last` for the last run");
  if (!isRun(with))
    return {stepOf(session.shown(), text(session.shown()->strategy())), otherStep(session, with)};
  const ProfileStore store(defaultProfilePath(), ProfileStore::Access::read);
  RunMeasurement run = findRun(store.runs(), with.toStdString()).value();
  const int64_t id = run.id;
  const auto compared = std::make_shared<const Comparison>(
      compareRun(std::move(run), store.instructions(id), false, {}, [](const Notice&) {}));
  return {stepOf(compared, false), stepOf(compared, true)};
}

void renderComparison(const OpenRequest& request, const QString& with, const QString& path,
                      QSize size) {
  Session session;
  Selection selection;
  openIn(session, request);
  const auto steps = stepsOf(session, with);
  CompareView view(session, selection);
  view.resize(size.isValid() ? size : QSize(1400, 1000));
  view.show();
  view.showSteps(steps[0], steps[1]);
  wait([&] { return view.settled(); });
  if (path.endsWith(".csv") || path.endsWith(".md"))
    return exportTable(view.operators().table(), path);
  QApplication::processEvents();
  drawWidget(view, path, view.size());
}

void renderTable(const QString& view, const OpenRequest& request, const QString& path) {
  Session session;
  Selection selection;
  if (view != "plans" && view != "memory" && view != "model")
    throw Error(ErrorKind::usage, fmt::format("{} is no table", view.toStdString()),
                "plans, memory, model and compare are; draw others as .png, .svg or .pdf");
  openIn(session, request);
  if (view == "memory") return exportTable(MemoryTable(session.shown()), path);
  if (view == "model") return exportTable(ModelView(session, selection).tree(), path);
  searchIn(session);
  exportTable(PlansView(session, selection).rows(), path);
}

}  // namespace

void renderView(const QString& view, const OpenRequest& request, const QString& with,
                const QString& path, QSize size) {
  if (!kRenderedViews.contains(view))
    throw Error(ErrorKind::usage, fmt::format("there is no view '{}'", view.toStdString()),
                "one of " + kRenderedViews.join(", ").toStdString());
  const bool isTable = path.endsWith(".csv") || path.endsWith(".md");
  if (isTable && view != "compare") return renderTable(view, request, path);
  if (!isTable && !path.endsWith(".png") && !path.endsWith(".svg") && !path.endsWith(".pdf"))
    throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a picture", path.toStdString()),
                "end it in .png, .svg or .pdf; tables in .csv or .md");
  if (view == "compare") return renderComparison(request, with, path, size);
  Session session;
  Selection selection;
  openIn(session, request);
  if (view == "plans") return drawPlans(session, selection, path, size);
  if (view == "timeline") return drawTimeline(session, path, size);
  if (view == "model") return drawModel(session, selection, path, size);
  if (view == "memory") {
    MemoryView memory(session, selection);
    return drawWidget(memory, path, size);
  }
  if (view == "stages") {
    StagesView stages(session, selection);
    return drawWidget(stages, path, size);
  }
  PlacementView placement(session, selection);
  drawWidget(placement, path, size);
}

}  // namespace meshplan::gui
