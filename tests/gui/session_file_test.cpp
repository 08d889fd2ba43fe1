// SPDX-License-Identifier: Apache-2.0
// Sessions on disk: what is written is restored, and nothing that cannot be read is lost.
#include "gui/session_file.h"

#include <gtest/gtest.h>

#include <QDir>
#include <QFile>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <fstream>

#include "core/error.h"
#include "gui/session_keeper.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

OpenRequest limitedGpt() {
  OpenRequest request = smallGpt();
  request.training.precision = Precision::fp16;
  request.memoryLimit = Bytes(int64_t{40} << 30);
  return request;
}

/// A window's worth of it, without the window.
struct Desk {
  explicit Desk(const QString& folder) { keeper.keepIn(folder); }
  bool settled() { return gui::settled(session); }
  void open() {
    session.open(limitedGpt());
    ASSERT_TRUE(settled());
  }
  bool restore() {
    QSignalSpy finished(&keeper, &SessionKeeper::finished);
    keeper.restore();
    return QTest::qWaitFor([&] { return finished.count() > 0; }, kWaitMs);
  }
  QString problem() const { return told.isEmpty() ? QString() : told.at(0).at(0).toString(); }
  QString remedy() const { return told.isEmpty() ? QString() : told.at(0).at(1).toString(); }

  Session session;
  Selection selection;
  SessionKeeper keeper{session, selection};
  QSignalSpy told{&keeper, &SessionKeeper::told};
  QSignalSpy failures{&session, &Session::failed};
  QSignalSpy found{&session, &Session::foundChanged};
};

QStringList keptFiles(const QTemporaryDir& folder) {
  return QDir(folder.path()).entryList({"kept-*.meshplan"});
}
std::string contents(const QString& path) {
  QFile file(path);
  EXPECT_TRUE(file.open(QIODevice::ReadOnly)) << path.toStdString();
  return file.readAll().toStdString();
}
void write(const QString& path, const std::string& text) {
  std::ofstream(path.toStdString()) << text;
}

TEST(SessionFile, ReadsBackWhatItWrote) {
  QTemporaryDir folder;
  Desk desk(folder.path());
  desk.open();
  SessionFile file;
  file.request = desk.session.document()->request();
  file.shown = savedPlan(*desk.session.shown());
  file.pinned = {*file.shown, *file.shown};
  file.pinned[1].cutByHand = true;
  file.pinned[1].scenario = {0.5, 2, "H100-SXM"};
  file.constraints = "tp=2";
  file.workspace = "timeline";
  file.operators = {3, 7};
  file.ranks = {0, 5};
  file.range = {1e-3, 0.1 + 0.2};
  file.window = {0, 0.25};
  file.trace = "/somewhere/trace.json";
  const std::string json = sessionToJson(file);
  const SessionFile again = sessionFromJson(json, "again");
  EXPECT_EQ(sessionToJson(again), json);
  EXPECT_EQ(again.request.model.settings, file.request.model.settings);
  EXPECT_EQ(again.request.training.precision, Precision::fp16);
  EXPECT_EQ(again.request.memoryLimit, file.request.memoryLimit);
  EXPECT_EQ(again.pinned[1].scenario, file.pinned[1].scenario);
  EXPECT_TRUE(again.pinned[1].cutByHand);
  EXPECT_EQ(again.range, file.range);
  EXPECT_EQ(again.operators, file.operators);
  EXPECT_EQ(again.ranks, file.ranks);
  EXPECT_EQ(again.trace, file.trace);
}

TEST(SessionFile, TellsWhereItIsDamaged) {
  QTemporaryDir folder;
  Desk desk(folder.path());
  desk.open();
  SessionFile file;
  file.request = desk.session.document()->request();
  file.shown = savedPlan(*desk.session.shown());
  const std::string good = sessionToJson(file);
  const auto place = [](const std::string& text) -> std::string {
    try {
      sessionFromJson(text, "last.meshplan");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(error.file(), "last.meshplan");
      EXPECT_FALSE(error.remedy().empty()) << error.what();
      return error.place().empty() ? error.problem() : error.place();
    }
    return "read";
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_EQ(place(good), "read");
  EXPECT_EQ(place(with("\"meshplan_session\": 1", "\"meshplan_session\": 2")), "meshplan_session");
  EXPECT_EQ(place(with("\"fp16\"", "\"fp17\"")), "open.training.precision");
  EXPECT_EQ(place(with("\"zero_stage\"", "\"zero_stagee\"")).find("shown.plan."), 0u);
  EXPECT_EQ(place(with("\"fabric\": 1", "\"fabric\": -1")), "shown.scenario.fabric");
  EXPECT_EQ(place(with("\"ranks\": []", "\"ranks\": [-1]")), "selection.ranks");
  for (size_t keep = 0; keep + 3 < good.size(); keep += 97)
    EXPECT_NE(place(good.substr(0, keep)), "read") << keep;
}

TEST(SessionKeeper, RestoresPlanScenarioPinsAndSelectionWithoutASearch) {
  QTemporaryDir folder;
  std::string shown, pinned;
  Seconds stepTime;
  {
    Desk desk(folder.path());
    desk.open();
    desk.session.pin();
    pinned = desk.session.shown()->report.strategy;
    desk.session.tryStrategy("tp=2,pp=2", "try");
    ASSERT_TRUE(QTest::qWaitFor(
        [&] { return desk.session.shown()->report.plan.mesh.pipeline == 2; }, kWaitMs));
    desk.session.tryScenario({.network = 1, .fabric = 0.25, .device = ""});
    ASSERT_TRUE(QTest::qWaitFor([&] { return desk.session.document()->scenario().fabric == 0.25; },
                                kWaitMs));
    shown = desk.session.shown()->report.strategy;
    stepTime = desk.session.shown()->report.stepTime;
    desk.session.constrain("tp", "2");
    desk.selection.setRanks({1, 3});
    desk.selection.setOperators({OpId(2)});
    desk.selection.setRange(TimeRange{Seconds(0.001), Seconds(0.002)});
  }
  Desk desk(folder.path());
  ASSERT_TRUE(desk.restore());
  ASSERT_TRUE(desk.session.shown()) << desk.problem().toStdString();
  EXPECT_EQ(desk.session.shown()->report.strategy, shown);
  EXPECT_EQ(desk.session.shown()->report.stepTime, stepTime);
  EXPECT_EQ(desk.session.document()->scenario().fabric, 0.25);
  EXPECT_EQ(desk.session.document(), desk.session.shown()->document);
  ASSERT_EQ(desk.session.pinned().size(), 1u);
  EXPECT_EQ(desk.session.pinned()[0]->report.strategy, pinned);
  EXPECT_EQ(desk.session.pinned()[0]->document->scenario(), Scenario());
  EXPECT_EQ(desk.selection.ranks(), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(desk.selection.operators(), std::vector<OpId>{OpId(2)});
  EXPECT_EQ(desk.selection.range(), (TimeRange{Seconds(0.001), Seconds(0.002)}));
  EXPECT_EQ(desk.session.constraintsText(), "tp=2");
  EXPECT_EQ(desk.session.search().evaluated, 0u);
  EXPECT_TRUE(desk.session.found().plans.empty());
  EXPECT_TRUE(desk.told.isEmpty());
}

TEST(SessionKeeper, SavesASecondAfterAChangeAndNotOnlyAtTheEnd) {
  QTemporaryDir folder;
  Desk desk(folder.path());
  EXPECT_FALSE(QFile::exists(desk.keeper.path()));
  desk.open();
  ASSERT_TRUE(QTest::qWaitFor(
      [&] {
        return QFile::exists(desk.keeper.path()) &&
               readSessionFile(desk.keeper.path().toStdString()).shown;
      },
      kWaitMs));
  desk.selection.setRanks({2});
  EXPECT_TRUE(QTest::qWaitFor(
      [&] { return readSessionFile(desk.keeper.path().toStdString()).ranks.size() == 1; }, 5000));
}

TEST(SessionKeeper, ADeathWhileItWritesLeavesTheSessionBefore) {
  QTemporaryDir folder;
  {
    Desk desk(folder.path());
    desk.open();
  }
  Desk desk(folder.path());
  const std::string before = contents(desk.keeper.path());
  // What QSaveFile has written until then has another name.
  write(desk.keeper.path() + ".Xa12b3", before.substr(0, before.size() / 2));
  ASSERT_TRUE(desk.restore());
  EXPECT_TRUE(desk.session.shown());
  EXPECT_TRUE(desk.told.isEmpty());
}

TEST(SessionKeeper, ADamagedFileIsToldAndSetAside) {
  QTemporaryDir folder;
  const std::string damaged = "{\"meshplan_session\": 1, \"open\": {\"mod";
  write(folder.filePath("last.meshplan"), damaged);
  Desk desk(folder.path());
  ASSERT_TRUE(desk.restore());
  ASSERT_EQ(desk.told.count(), 1);
  EXPECT_TRUE(desk.problem().contains("not valid JSON")) << desk.problem().toStdString();
  const QStringList kept = keptFiles(folder);
  ASSERT_EQ(kept.size(), 1);
  EXPECT_TRUE(desk.remedy().contains(kept[0])) << desk.remedy().toStdString();
  EXPECT_EQ(contents(folder.filePath(kept[0])), damaged);
  EXPECT_FALSE(desk.session.document());
}

TEST(SessionKeeper, AModelThatHasVanishedIsToldAndNothingIsLost) {
  QTemporaryDir folder;
  const QString model = folder.filePath("config.json");
  ASSERT_TRUE(QFile::copy(MESHPLAN_SOURCE_DIR "/examples/models/gpt2/config.json", model));
  {
    Desk desk(folder.path());
    OpenRequest request = smallGpt();
    request.model = {};
    request.model.source = model.toStdString();
    request.model.sequence = 128;
    desk.session.open(request);
    ASSERT_TRUE(desk.settled()) << desk.failures.value(0).value(0).toString().toStdString();
  }
  ASSERT_TRUE(QFile::remove(model));
  const std::string before = contents(folder.filePath("last.meshplan"));
  Desk desk(folder.path());
  ASSERT_TRUE(desk.restore());
  ASSERT_EQ(desk.told.count(), 1);
  EXPECT_EQ(desk.failures.count(), 0);
  EXPECT_TRUE(desk.problem().contains("config.json")) << desk.problem().toStdString();
  EXPECT_FALSE(desk.session.document());
  const QStringList kept = keptFiles(folder);
  ASSERT_EQ(kept.size(), 1);
  EXPECT_EQ(contents(folder.filePath(kept[0])), before);
}

TEST(SessionKeeper, AStartThatDiedWhileItRestoredIsNotRepeated) {
  QTemporaryDir folder;
  {
    Desk desk(folder.path());
    desk.open();
  }
  write(folder.filePath("restoring"), "");
  {
    Desk desk(folder.path());
    ASSERT_TRUE(desk.restore());
    ASSERT_EQ(desk.told.count(), 1);
    EXPECT_TRUE(desk.problem().contains("ended while it restored"));
    EXPECT_FALSE(desk.session.document());
  }
  ASSERT_EQ(keptFiles(folder).size(), 1);
  EXPECT_FALSE(QFile::exists(folder.filePath("restoring")));
  Desk desk(folder.path());
  QSignalSpy finished(&desk.keeper, &SessionKeeper::finished);
  desk.keeper.open(folder.filePath(keptFiles(folder)[0]));
  ASSERT_TRUE(QTest::qWaitFor([&] { return finished.count() > 0; }, kWaitMs));
  EXPECT_TRUE(desk.session.shown());
}

TEST(SessionKeeper, ASecondWindowKeepsNothing) {
  QTemporaryDir folder;
  Desk first(folder.path());
  first.open();
  first.keeper.flush();
  const std::string before = contents(first.keeper.path());
  {
    Desk second(folder.path());
    ASSERT_TRUE(second.restore());
    EXPECT_FALSE(second.session.document());
    second.open();
    second.selection.setRanks({1});
  }
  EXPECT_EQ(contents(first.keeper.path()), before);
}

TEST(SessionKeeper, AModelThatHasChangedIsPlannedAgain) {
  QTemporaryDir folder;
  {
    Desk desk(folder.path());
    desk.open();
    desk.session.pin();
  }
  std::string text = contents(folder.filePath("last.meshplan"));
  const std::string key = "\"graph_fingerprint\": \"";
  for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1))
    text.replace(at + key.size(), 4, "0000");
  write(folder.filePath("last.meshplan"), text);
  Desk desk(folder.path());
  ASSERT_TRUE(desk.restore());
  ASSERT_TRUE(desk.settled());
  EXPECT_EQ(desk.told.count(), 1);
  EXPECT_FALSE(desk.session.found().plans.empty());
  EXPECT_EQ(keptFiles(folder).size(), 1);
}

}  // namespace
}  // namespace meshplan::gui
