// SPDX-License-Identifier: Apache-2.0
#include "gui/render.h"

#include <fmt/format.h>

#include <QEventLoop>
#include <QTimer>

#include "gui/export_table.h"
#include "gui/export_view.h"
#include "gui/models/memory_table.h"
#include "gui/session.h"
#include "gui/views/memory_view.h"
#include "gui/views/model_view.h"
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

void renderTable(const QString& view, const OpenRequest& request, const QString& path) {
  Session session;
  Selection selection;
  if (view != "plans" && view != "memory" && view != "model")
    throw Error(ErrorKind::usage, fmt::format("{} is no table", view.toStdString()),
                "plans, memory and model are; draw others as .png, .svg or .pdf");
  openIn(session, request);
  if (view == "memory") return exportTable(MemoryTable(session.shown()), path);
  if (view == "model") return exportTable(ModelView(session, selection).tree(), path);
  searchIn(session);
  exportTable(PlansView(session, selection).rows(), path);
}

}  // namespace

void renderView(const QString& view, const OpenRequest& request, const QString& path, QSize size) {
  if (!kRenderedViews.contains(view))
    throw Error(ErrorKind::usage, fmt::format("there is no view '{}'", view.toStdString()),
                "one of " + kRenderedViews.join(", ").toStdString());
  if (path.endsWith(".csv") || path.endsWith(".md")) return renderTable(view, request, path);
  if (!path.endsWith(".png") && !path.endsWith(".svg") && !path.endsWith(".pdf"))
    throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a picture", path.toStdString()),
                "end it in .png, .svg or .pdf; tables in .csv or .md");
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
