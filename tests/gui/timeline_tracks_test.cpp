// SPDX-License-Identifier: Apache-2.0
#include "gui/models/timeline_tracks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/error.h"
#include "gui/models/memory_curve.h"
#include "tests/gui/synthetic_timeline.h"

namespace meshplan::gui {
namespace {

double overlap(double a, double b, double c, double d) {
  return std::max(0.0, std::min(b, d) - std::max(a, c));
}

struct RandomTrack {
  SpanTrack track;
  double end = 0;
};

// Spans of very different lengths, some of them back to back.
RandomTrack randomTrack(std::mt19937& random, size_t spans) {
  RandomTrack out;
  std::exponential_distribution<double> gap(2), length(1);
  std::uniform_int_distribution<int> kind(0, kSpanKinds - 1), coin(0, 2);
  for (size_t i = 0; i < spans; ++i) {
    const double start = out.end + (coin(random) == 0 ? gap(random) : 0);
    const double scale = coin(random) == 0 ? 30 : 0.3;
    out.end = start + scale * length(random) + 1e-6;
    out.track.add(start, out.end, SpanKind(kind(random)), uint32_t(i));
  }
  out.track.finish();
  return out;
}

TimeByKind bruteTime(const SpanTrack& track, double begin, double end) {
  TimeByKind times{};
  for (size_t i = 0; i < track.size(); ++i)
    times[size_t(track.kind(i))] += overlap(track.start(i), track.end(i), begin, end);
  return times;
}

TEST(SpanTrack, EachPixelColumnShowsTheKindThatTakesMostOfIt) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const RandomTrack r = randomTrack(random, 1 + random() % 700);
    std::uniform_real_distribution<double> at(-0.1 * r.end, 1.1 * r.end);
    double begin = at(random), end = at(random);
    if (begin > end) std::swap(begin, end);
    const int columns = 1 + int(random() % 300);
    std::vector<TrackRun> runs;
    r.track.runs(begin, end, columns, runs);
    std::vector<const TrackRun*> byColumn(size_t(columns), nullptr);
    for (const TrackRun& run : runs)
      for (int c = run.begin; c < run.end; ++c) {
        ASSERT_GE(c, 0);
        ASSERT_LT(c, columns);
        ASSERT_EQ(byColumn[size_t(c)], nullptr) << "column " << c << " is drawn twice";
        byColumn[size_t(c)] = &run;
      }
    const double width = (end - begin) / columns;
    for (int c = 0; c < columns; ++c) {
      const TimeByKind times = bruteTime(r.track, begin + c * width, begin + (c + 1) * width);
      const double most = *std::max_element(times.begin(), times.end());
      const TrackRun* run = byColumn[size_t(c)];
      if (most < 1e-9 * width) continue;  // an edge that rounding decides
      ASSERT_NE(run, nullptr) << "column " << c;
      EXPECT_NEAR(times[size_t(run->kind)], most, 1e-9 * (most + width)) << "column " << c;
    }
  }
}

TEST(SpanTrack, RunsNameTheirSpanWhereThereIsOne) {
  SpanTrack track;
  track.add(0, 10, SpanKind::forward, 0);
  track.add(10, 10.2, SpanKind::backward, 1);
  track.add(10.2, 10.4, SpanKind::backward, 2);
  track.add(15, 20, SpanKind::backward, 3);
  track.finish();
  std::vector<TrackRun> runs;
  track.runs(0, 20, 20, runs);
  const std::vector<TrackRun> expected = {{0, 10, SpanKind::forward, 0},
                                          {10, 11, SpanKind::backward, kManySpans},
                                          {15, 20, SpanKind::backward, 3}};
  EXPECT_EQ(runs, expected);
}

TEST(SpanTrack, TimeInAWindowIsThatOfItsSpans) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const RandomTrack r = randomTrack(random, 1 + random() % 400);
    std::uniform_real_distribution<double> at(0, r.end);
    double begin = at(random), end = at(random);
    if (begin > end) std::swap(begin, end);
    const TimeByKind expected = bruteTime(r.track, begin, end), got = r.track.timeIn(begin, end);
    for (size_t k = 0; k < kSpanKinds; ++k) EXPECT_NEAR(got[k], expected[k], 1e-9 * r.end);
  }
}

TEST(SpanTrack, WhatIsHitIsTheSpanAtThatTime) {
  std::mt19937 random(11);
  const RandomTrack r = randomTrack(random, 3000);
  std::uniform_real_distribution<double> at(0, r.end);
  for (int i = 0; i < 3000; ++i) {
    const double t = at(random);
    size_t expected = r.track.size();
    for (size_t k = 0; k < r.track.size(); ++k)
      if (r.track.start(k) <= t && t < r.track.end(k)) expected = k;
    ASSERT_EQ(r.track.at(t), expected) << t;
  }
}

TEST(SpanTrack, OverlappingSpansAreCut) {
  SpanTrack track;
  track.add(0, 4, SpanKind::forward, 0);
  track.add(3, 5, SpanKind::backward, 1);
  track.add(2, 4.5, SpanKind::backward, 2);
  track.finish();
  ASSERT_EQ(track.size(), 2u);
  EXPECT_EQ(track.start(1), 4);
  EXPECT_EQ(track.end(1), 5);
}

TEST(TimelineTracks, ThereIsOneForEachStreamThatHasSpans) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 3, .spans = 2000});
  const TimelineTracks tracks(s.program, s.timeline);
  size_t spans = 0, bubbles = 0;
  for (const Track& t : tracks.tracks())
    for (size_t i = 0; i < t.spans.size(); ++i) {
      const bool bubble = t.spans.source(i) == Track::kBubble;
      (bubble ? bubbles : spans)++;
      EXPECT_EQ(bubble, t.spans.kind(i) == SpanKind::bubble);
      if (bubble) continue;
      const Span& span = s.timeline.spans[t.spans.source(i)];
      EXPECT_EQ(span.rankClass, t.rankClass);
      EXPECT_EQ(span.stream, t.stream);
    }
  EXPECT_EQ(spans, s.timeline.spans.size());
  EXPECT_GT(bubbles, 0u);
}

TEST(TimelineTracks, ComputeAndBubblesFillTheStep) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 4, .spans = 3000});
  const TimelineTracks tracks(s.program, s.timeline);
  size_t computing = 0;
  for (const Track& t : tracks.tracks()) {
    if (t.stream != Stream::compute) continue;
    ++computing;
    double sum = 0;
    for (double time : t.spans.timeIn(0, tracks.stepTime())) sum += time;
    EXPECT_NEAR(sum, s.timeline.stepTime.value, 1e-6 * s.timeline.stepTime.value);
  }
  EXPECT_EQ(computing, 4u);
}

TEST(TimelineTracks, CallsFollowEachOtherOnTheComputeStream) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 4000});
  const TimelineTracks tracks(s.program, s.timeline);
  for (const Track& t : tracks.tracks()) {
    EXPECT_EQ(t.calls.empty(), t.stream != Stream::compute);
    for (size_t i = 1; i < t.calls.size(); ++i) EXPECT_GE(t.calls[i].start, t.calls[i - 1].end);
  }
}

TEST(TimelineTracks, SpansAreFoundAgain) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 3, .spans = 2000});
  const TimelineTracks tracks(s.program, s.timeline);
  for (uint32_t i = 0; i < s.timeline.spans.size(); ++i) {
    const TimelineTracks::Place p = tracks.find(s.timeline, i, false);
    ASSERT_LT(p.track, tracks.tracks().size());
    EXPECT_EQ(tracks.tracks()[p.track].spans.source(p.place), i);
  }
}

TEST(TimelineTracks, MeasuredTracksFollowTheirPredictedTwins) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 1000});
  Timeline measured = s.timeline;
  for (Span& span : measured.spans) span.start *= 2, span.end *= 2;
  measured.stepTime *= 2;
  const TimelineTracks tracks(s.program, s.timeline, &measured);
  ASSERT_EQ(tracks.tracks().size() % 2, 0u);
  EXPECT_EQ(tracks.stepTime(), measured.stepTime.value);
  for (size_t i = 0; i < tracks.tracks().size(); i += 2) {
    const Track &predicted = tracks.tracks()[i], &twin = tracks.tracks()[i + 1];
    EXPECT_FALSE(predicted.measured);
    EXPECT_TRUE(twin.measured);
    EXPECT_EQ(predicted.stream, twin.stream);
    const PredictedTime time = predictedIn(twin, 0, tracks.stepTime());
    EXPECT_NEAR(time.predicted / time.measured, 0.5, 1e-5);
  }
}

TEST(TimelineTracks, SpansOfAnotherProgramAreRefused) {
  SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 100});
  s.timeline.spans[5].instruction = 100000;
  EXPECT_THROW(TimelineTracks(s.program, s.timeline), Error);
}

TEST(TimelineTracks, RanksOfAStageAreNamedInShort) {
  EXPECT_EQ(rankListText({0, 1, 2, 3, 7, 9, 10}), "0–3, 7, 9–10");
  EXPECT_EQ(rankListText({}), "");
  Program program;
  program.mesh = {.tensor = 2, .data = 3, .pipeline = 2};
  program.rankClasses.resize(2);
  program.rankClasses[1].stage = 1;
  EXPECT_EQ(rankListText(ranksOf(program, 1)), "6–11");
}

TEST(MemoryCurve, TheMostInAWindowIsThatOfItsSteps) {
  std::mt19937 random(5);
  std::vector<MemoryPoint> points;
  double t = 0;
  for (int i = 0; i < 777; ++i) {
    points.push_back({Seconds(t), Bytes(int64_t(random() % 100000))});
    t += double(random() % 5);
  }
  const MemoryCurve curve(points);
  std::uniform_real_distribution<double> at(0, t);
  for (int round = 0; round < 2000; ++round) {
    double begin = at(random), end = at(random);
    if (begin > end) std::swap(begin, end);
    Bytes expected;
    for (size_t i = 0; i < points.size(); ++i) {
      const double until = i + 1 < points.size() ? points[i + 1].time.value : t + 1;
      if (points[i].time.value <= end && until > begin)
        expected = std::max(expected, points[i].bytes);
    }
    EXPECT_EQ(curve.most(begin, end).value, expected.value);
  }
}

}  // namespace
}  // namespace meshplan::gui
