// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "gui/palette.h"

namespace meshplan::gui {

using TimeByKind = std::array<double, kSpanKinds>;  // seconds

/// Neighbouring pixel columns that look the same: columns [begin, end) show `kind`. `place` is the
/// span they belong to, or kManySpans.
struct TrackRun {
  int begin = 0, end = 0;
  SpanKind kind = SpanKind::bubble;
  uint32_t place = 0;
  bool operator==(const TrackRun&) const = default;
};
inline constexpr uint32_t kManySpans = UINT32_MAX;

/// Spans of one stream in time order that do not overlap, made to be drawn in any time window at
/// the cost of its pixel columns and not of its spans. Beside the spans it keeps, for every 32nd
/// of them, the time of each kind before it: the time by kind of any longer piece, so of any mip
/// level above, is the difference of two such sums.
class SpanTrack {
 public:
  /// `source` is what the span was made from, for those who ask. A span that begins before the last
  /// one's end is cut to begin there; one that takes no time is left out.
  void reserve(size_t spans);
  void add(double start, double end, SpanKind kind, uint32_t source);
  /// After the last add().
  void finish();

  size_t size() const { return start_.size(); }
  double start(size_t i) const { return start_[i]; }
  double end(size_t i) const { return end_[i]; }
  SpanKind kind(size_t i) const { return SpanKind(kind_[i]); }
  uint32_t source(size_t i) const { return source_[i]; }

  /// The first span that ends after `t`, or size().
  size_t firstEndingAfter(double t) const { return gallopEnd(0, t); }
  /// The span at that time, or size().
  size_t at(double t) const;
  /// The longest part of a span in the window, or size(); looks at no more than 4,096 spans.
  size_t longestIn(double begin, double end) const;
  TimeByKind timeIn(double begin, double end) const;

  /// What to draw of [begin, end) in so many columns of equal width, in order. A column shows the
  /// kind that takes most of its time (of equals, the first of SpanKind); a column without spans is
  /// in no run. At most one run per column.
  void runs(double begin, double end, int columns, std::vector<TrackRun>& out) const;

 private:
  static constexpr size_t kBlock = 32;

  size_t gallopEnd(size_t from, double t) const;    // first with end > t
  size_t gallopStart(size_t from, double t) const;  // first with start >= t
  void addTimes(size_t first, size_t last, double sign, TimeByKind& times) const;
  TimeByKind timeOf(size_t first, size_t last, double begin, double end) const;
  TrackRun mixedColumn(int column, size_t first, size_t last, double begin, double end) const;

  std::vector<double> start_, end_;
  std::vector<uint8_t> kind_;
  std::vector<uint32_t> source_;
  std::vector<TimeByKind> before_;
};

}  // namespace meshplan::gui
