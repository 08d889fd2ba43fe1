// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_view.h"

#include <gtest/gtest.h>

#include <QApplication>
#include <QLabel>
#include <QSignalSpy>
#include <QTest>
#include <QWheelEvent>
#include <set>

#include "gui/models/span_text.h"
#include "gui/models/timeline_steps.h"
#include "gui/views/range_view.h"
#include "gui/views/timeline_picture.h"
#include "planner/search/search.h"

namespace meshplan::gui {
namespace {

std::shared_ptr<const ShownPlan> smallPlan() {
  static const std::shared_ptr<const ShownPlan> shown = [] {
    OpenRequest request;
    request.model.source = "gpt";
    request.model.settings = {{"layers", "4"}, {"hidden", "256"}, {"heads", "4"}};
    request.model.sequence = 128;
    request.globalBatch = 16;
    const auto document = Document::open(request, [](const Notice&) {});
    const PlanReport report =
        evaluateStrategy(document->context(), 16, parseStrategy("pp=2,tp=2,mbs=1"));
    return showPlan(document, report.plan, "test");
  }();
  return shown;
}

class TimelineViewTest : public testing::Test {
 protected:
  TimelineViewTest() {
    view.resize(1000, 600);
    view.showScene(sceneOf(smallPlan()));
    view.show();
  }

  const TimelineScene& scene() { return *view.state().scene(); }
  TimeWindow& window() { return view.state().window(); }
  void key(int key, Qt::KeyboardModifiers modifiers = {}) {
    QTest::keyClick(&view, Qt::Key(key), modifiers);
  }

  // The longest span of a kind on any track.
  SpanPlace longest(SpanKind kind) {
    SpanPlace best{scene().tracks.tracks().size(), 0};
    double time = 0;
    for (size_t t = 0; t < scene().tracks.tracks().size(); ++t) {
      const SpanTrack& spans = scene().tracks.tracks()[t].spans;
      for (size_t i = 0; i < spans.size(); ++i)
        if (spans.kind(i) == kind && spans.end(i) - spans.start(i) > time)
          best = {t, i}, time = spans.end(i) - spans.start(i);
    }
    return best;
  }

  QPoint bringIntoSight(const SpanPlace& place) {
    const double begin = scene().start(place), end = scene().end(place);
    window().show(begin - (end - begin), end + (end - begin));
    view.lanes().revealTrack(place.track);
    return view.lanes().rectOf(place).center().toPoint();
  }

  Session session;
  Selection selection;
  TimelineView view{session, selection};
};

TEST_F(TimelineViewTest, KeysZoomAndPan) {
  const double step = scene().tracks.stepTime();
  EXPECT_EQ(window().length(), step);
  key(Qt::Key_W);
  EXPECT_LT(window().length(), step);
  const double begin = window().begin(), length = window().length();
  key(Qt::Key_D);
  EXPECT_GT(window().begin(), begin);
  EXPECT_NEAR(window().length(), length, 1e-12);
  key(Qt::Key_A);
  EXPECT_NEAR(window().begin(), begin, 1e-12);
  key(Qt::Key_S);
  EXPECT_NEAR(window().length(), step, 1e-9);
  for (int i = 0; i < 200; ++i) key(Qt::Key_W);
  EXPECT_GE(window().length(), 0.99e-8);
  EXPECT_GE(window().begin(), 0);
  key(Qt::Key_F);
  EXPECT_EQ(window().length(), step);
}

TEST_F(TimelineViewTest, CtrlWheelZoomsWhereThePointerIs) {
  const TimeScale before = view.state().scale(view.lanes().width());
  const QPointF at(before.x + 0.25 * before.width, 30);
  QWheelEvent wheel(at, view.lanes().mapToGlobal(at), {}, {0, 120}, Qt::NoButton,
                    Qt::ControlModifier, Qt::NoScrollPhase, false);
  QApplication::sendEvent(&view.lanes(), &wheel);
  EXPECT_LT(window().length(), scene().tracks.stepTime());
  const TimeScale after = view.state().scale(view.lanes().width());
  EXPECT_NEAR(after.timeAt(at.x()), before.timeAt(at.x()), 1e-9);
}

TEST_F(TimelineViewTest, AClickSelectsTheForwardOperatorAndTheRanks) {
  const SpanPlace place = longest(SpanKind::backward);
  QTest::mouseClick(&view.lanes(), Qt::LeftButton, {}, bringIntoSight(place));
  ASSERT_EQ(view.state().chosen(), place);
  const auto* told = view.findChild<QLabel*>(QStringLiteral("timelineChosen"));
  EXPECT_TRUE(told->text().startsWith(spanName(scene(), place)));
  ASSERT_EQ(selection.operators().size(), 1u);
  const Operator& op = scene().graph->op(selection.operators().front());
  EXPECT_EQ(op.phase, Phase::forward);
  EXPECT_EQ(selection.ranks(), scene().ranks[scene().track(place).rankClass]);
  key(Qt::Key_Escape);
  EXPECT_TRUE(selection.operators().empty());
  EXPECT_FALSE(view.state().chosen());
}

TEST_F(TimelineViewTest, AClickOnAHeaderSelectsTheRanksOfTheStage) {
  const QRectF lane = view.lanes().rectOf({0, 0});
  const QPoint header(20, int(lane.center().y()));
  QTest::mouseClick(&view.lanes(), Qt::LeftButton, {}, header);
  EXPECT_EQ(selection.ranks(), scene().ranks[0]);
  QTest::mouseClick(&view.lanes(), Qt::LeftButton, {}, header);
  EXPECT_TRUE(selection.ranks().empty());
}

TEST_F(TimelineViewTest, ADragSelectsARangeAndFitShowsIt) {
  const TimeScale scale = view.state().scale(view.lanes().width());
  const QPoint from(int(scale.x) + 100, 40), to(int(scale.x) + 300, 60);
  QTest::mousePress(&view.lanes(), Qt::LeftButton, {}, from);
  QTest::mouseMove(&view.lanes(), from + QPoint(50, 0));
  QTest::mouseMove(&view.lanes(), to);
  QTest::mouseRelease(&view.lanes(), Qt::LeftButton, {}, to);
  ASSERT_TRUE(selection.range());
  EXPECT_NEAR(selection.range()->begin.value, scale.timeAt(from.x()), 1e-9);
  EXPECT_NEAR(selection.range()->end.value, scale.timeAt(to.x()), 1e-9);
  key(Qt::Key_F);
  EXPECT_LT(window().length(), 1.2 * (selection.range()->end - selection.range()->begin).value);
  key(Qt::Key_M);
  EXPECT_EQ(view.marks().size(), 1u);
  EXPECT_EQ(view.marks().front(), *selection.range());
  key(Qt::Key_F);
  EXPECT_EQ(window().length(), scene().tracks.stepTime());
}

TEST_F(TimelineViewTest, ShiftDragPans) {
  window().show(0.4 * scene().tracks.stepTime(), 0.6 * scene().tracks.stepTime());
  const double begin = window().begin();
  const QPoint from(500, 40), to(400, 40);
  QTest::mousePress(&view.lanes(), Qt::LeftButton, Qt::ShiftModifier, from);
  QTest::mouseMove(&view.lanes(), to);
  QTest::mouseRelease(&view.lanes(), Qt::LeftButton, Qt::ShiftModifier, to);
  const double moved = 100 * view.state().scale(view.lanes().width()).secondsPerPixel();
  EXPECT_NEAR(window().begin(), begin + moved, 1e-9);
  EXPECT_FALSE(selection.range());
}

TEST_F(TimelineViewTest, BracketsGoThroughTheRunsOfTheSelectedOperator) {
  const SpanPlace first = longest(SpanKind::forward);
  view.lanes().select(first);
  const OpId op = selection.operators().front();
  size_t runs = 0;
  for (const auto& track : view.lanes().marked()) runs += track.size();
  ASSERT_GT(runs, 2u);
  view.state().setChosen(std::nullopt);
  double before = -1;
  std::set<std::pair<size_t, size_t>> seen;
  for (size_t i = 0; i < runs; ++i) {
    key(Qt::Key_BracketRight);
    const SpanPlace at = view.state().chosen().value();
    EXPECT_GE(scene().start(at), before);
    before = scene().start(at);
    EXPECT_EQ(scene().forwardOperator(scene().instruction(*scene().span(at))), op);
    EXPECT_TRUE(seen.insert({at.track, at.place}).second);
    EXPECT_GE(window().end(), scene().end(at));
  }
  const auto last = view.state().chosen();
  key(Qt::Key_BracketRight);
  EXPECT_EQ(view.state().chosen(), last);
  key(Qt::Key_BracketLeft);
  EXPECT_NE(view.state().chosen(), last);
}

TEST_F(TimelineViewTest, BGoesToTheNextBubble) {
  key(Qt::Key_B);
  ASSERT_TRUE(view.state().chosen());
  const double first = scene().start(*view.state().chosen());
  EXPECT_EQ(scene().span(*view.state().chosen()), nullptr);
  key(Qt::Key_B);
  const double second = scene().start(*view.state().chosen());
  EXPECT_GT(second, first);
  key(Qt::Key_B, Qt::ShiftModifier);
  EXPECT_LT(scene().start(*view.state().chosen()), second);
}

TEST_F(TimelineViewTest, QuestionMarkShowsTheKeys) {
  const auto* help = view.findChild<QWidget*>(QStringLiteral("timelineHelp"));
  ASSERT_NE(help, nullptr);
  EXPECT_FALSE(help->isVisible());
  QTest::keyClicks(&view, QStringLiteral("?"));
  EXPECT_TRUE(help->isVisible());
  view.toggleHelp();
  EXPECT_FALSE(help->isVisible());
}

TEST_F(TimelineViewTest, TheCriticalPathIsFoundBeside) {
  const QImage before = view.grab().toImage();
  view.setCriticalPathShown(true);
  EXPECT_TRUE(view.criticalPathShown());
  EXPECT_TRUE(QTest::qWaitFor([&] { return view.grab().toImage() != before; }));
  const MarkedPlaces path = criticalPlaces(scene());
  size_t places = 0;
  for (const auto& track : path) places += track.size();
  EXPECT_GT(places, 0u);
}

TEST_F(TimelineViewTest, SpansTellWhatTheyAre) {
  const SpanPlace place = longest(SpanKind::forward);
  const QString tip = spanTip(scene(), place);
  EXPECT_TRUE(tip.contains(spanName(scene(), place)));
  EXPECT_TRUE(tip.contains("micro-batch"));
  EXPECT_EQ(spanName(scene(), longest(SpanKind::bubble)), spanKindName(SpanKind::bubble));
  EXPECT_FALSE(scene().flows.empty());
  for (const Flow& flow : scene().flows) {
    EXPECT_EQ(scene().instruction(*scene().span(flow.send)).kind, Instruction::Kind::send);
    EXPECT_EQ(scene().instruction(*scene().span(flow.receive)).kind, Instruction::Kind::receive);
    EXPECT_NE(scene().track(flow.send).rankClass, scene().track(flow.receive).rankClass);
  }
}

TEST_F(TimelineViewTest, PointerFindsEverySpanThatIsWideEnough) {
  const size_t tracks = scene().tracks.tracks().size();
  for (size_t t = 0; t < tracks; ++t) {
    const SpanTrack& spans = scene().tracks.tracks()[t].spans;
    for (size_t i = 0; i < spans.size(); i += 7) {
      const QPoint at = bringIntoSight({t, i});
      EXPECT_EQ(view.lanes().placeAt(at), (SpanPlace{t, i}));
    }
  }
}

size_t colours(const QImage& image) {
  std::set<QRgb> all;
  for (int y = 0; y < image.height(); y += 2)
    for (int x = 0; x < image.width(); ++x) all.insert(image.pixel(x, y));
  return all.size();
}

TEST_F(TimelineViewTest, IsDrawnInLightAndDark) {
  for (const Theme theme : {Theme::light, Theme::dark}) {
    QApplication::setPalette(themePalette(theme));
    view.setPalette(themePalette(theme));
    const QImage image = view.grab().toImage();
    EXPECT_GT(colours(image), 20u);
    EXPECT_GT(std::count_if(image.constBits(), image.constBits() + image.sizeInBytes(),
                            [](uchar b) { return b != 0; }),
              1000);
  }
  QApplication::setPalette(themePalette(Theme::light));
}

TEST_F(TimelineViewTest, MeasuredLanesStandBesidePredictedOnes) {
  auto measured = std::make_shared<Timeline>(smallPlan()->simulated.timeline);
  for (Span& s : measured->spans) s.start *= 1.3, s.end *= 1.3;
  measured->stepTime *= 1.3;
  const size_t before = scene().tracks.tracks().size();
  view.showScene(sceneOf(smallPlan(), measured));
  EXPECT_EQ(scene().tracks.tracks().size(), 2 * before);
  EXPECT_NEAR(scene().tracks.stepTime(), measured->stepTime.value, 1e-12);
  EXPECT_GT(colours(view.grab().toImage()), 20u);
}

TEST(TimelineView, SaysSoWhenNothingIsOpen) {
  Session session;
  Selection selection;
  TimelineView timeline(session, selection);
  RangeView range(session, selection);
  for (QWidget* view : std::initializer_list<QWidget*>{&timeline, &range}) {
    view->resize(500, 400);
    EXPECT_GT(colours(view->grab().toImage()), 5u);
    QTest::keyClick(view, Qt::Key_W);
    QTest::keyClick(view, Qt::Key_BracketRight);
  }
}

TEST(TimelinePicture, IsDrawnAtAnySize) {
  for (const QSize& size : {QSize(1600, 900), QSize(400, 200)}) {
    QImage image(size, QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    paintTimeline(painter, size, *smallPlan());
    painter.end();
    EXPECT_GT(colours(image), 10u);
  }
  EXPECT_GT(timelinePictureSize(*smallPlan()).height(), 200);
}

TEST(TimelinePicture, HasFlowsAndTheErrorsOfMeasuredTracks) {
  const auto paint = [](const TimelinePicture& options) {
    QImage image(1200, 500, QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    paintTimeline(painter, image.size(), *smallPlan(), options);
    painter.end();
    const QString folder = qEnvironmentVariable("MESHPLAN_PICTURES");
    if (!folder.isEmpty())
      image.save(QString("%1/picture-%2-%3.png")
                     .arg(folder)
                     .arg(options.flows)
                     .arg(options.measured != nullptr));
    return image;
  };
  TimelinePicture options;
  // Few enough to be told apart.
  options.window = TimeRange{Seconds(0), 0.2 * smallPlan()->simulated.timeline.stepTime};
  const QImage with = paint(options);
  options.flows = false;
  const QImage without = paint(options);
  EXPECT_NE(with, without);
  Timeline slower = smallPlan()->simulated.timeline;
  for (Span& s : slower.spans) s.start *= 2, s.end *= 2;
  slower.stepTime *= 2;
  options.measured = &slower;
  const QImage tinted = paint(options);
  const auto reddest = [](const QImage& image) {
    int count = 0;
    for (int y = 0; y < image.height(); ++y)
      for (int x = 0; x < image.width(); ++x) count += image.pixelColor(x, y) == worseColour();
    return count;
  };
  EXPECT_GT(reddest(tinted), reddest(without) + 100);
}

TEST(TimeTicks, AreOneTwoOrFiveTimesAPowerOfTen) {
  for (const double length : {1e-7, 3e-5, 0.02, 0.7, 4.0, 90.0}) {
    const auto ticks = timeTicks(0.3 * length, 1.3 * length, 10);
    ASSERT_GE(ticks.size(), 3u) << length;
    EXPECT_LE(ticks.size(), 11u);
    const double step = ticks[1].time - ticks[0].time;
    const double digit = step / std::pow(10, std::floor(std::log10(step * (1 + 1e-9))));
    EXPECT_TRUE(std::abs(digit - 1) < 1e-6 || std::abs(digit - 2) < 1e-6 ||
                std::abs(digit - 5) < 1e-6)
        << digit;
    for (size_t i = 1; i < ticks.size(); ++i) EXPECT_NE(ticks[i].text, ticks[i - 1].text);
  }
  EXPECT_EQ(fineTimeText(0.835164, 1e-5).toStdString(), "835.16 ms");
  EXPECT_EQ(timeTicks(0, 1, 10)[2].text.toStdString(), "0.2 s");
  EXPECT_EQ(timeTicks(1.5, 1.5001, 10)[1].text.toStdString(), "1.50001 s");
}

}  // namespace
}  // namespace meshplan::gui
