// SPDX-License-Identifier: Apache-2.0
#include "gui/models/span_track.h"

#include <algorithm>
#include <cmath>

namespace meshplan::gui {
namespace {

// The first place from `from` on where `reached`, which is false, then true.
template <class Reached>
size_t gallop(size_t from, size_t size, Reached reached) {
  size_t step = 1, low = from;
  while (from < size && !reached(from)) {
    low = from + 1;
    from += step;
    step *= 2;
  }
  size_t high = std::min(from, size);
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (reached(middle))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

void append(std::vector<TrackRun>& out, const TrackRun& run) {
  if (!out.empty() && out.back().end == run.begin && out.back().kind == run.kind &&
      out.back().place == run.place)
    out.back().end = run.end;
  else
    out.push_back(run);
}

}  // namespace

void SpanTrack::reserve(size_t spans) {
  start_.reserve(spans);
  end_.reserve(spans);
  kind_.reserve(spans);
  source_.reserve(spans);
}

void SpanTrack::add(double start, double end, SpanKind kind, uint32_t source) {
  if (!end_.empty()) start = std::max(start, end_.back());
  if (!(end > start)) return;
  start_.push_back(start);
  end_.push_back(end);
  kind_.push_back(uint8_t(kind));
  source_.push_back(source);
}

void SpanTrack::finish() {
  before_.clear();
  before_.reserve(size() / kBlock + 1);
  TimeByKind sum{};
  for (size_t i = 0; i < size(); ++i) {
    if (i % kBlock == 0) before_.push_back(sum);
    sum[kind_[i]] += end_[i] - start_[i];
  }
  if (size() % kBlock == 0) before_.push_back(sum);
}

size_t SpanTrack::gallopEnd(size_t from, double t) const {
  return gallop(from, size(), [&](size_t i) { return end_[i] > t; });
}
size_t SpanTrack::gallopStart(size_t from, double t) const {
  return gallop(from, size(), [&](size_t i) { return start_[i] >= t; });
}

size_t SpanTrack::at(double t) const {
  const size_t i = firstEndingAfter(t);
  return i < size() && start_[i] <= t ? i : size();
}

size_t SpanTrack::longestIn(double begin, double end) const {
  const size_t first = firstEndingAfter(begin);
  const size_t last = std::min(gallopStart(first, end), first + 4096);
  size_t best = size();
  double longest = 0;
  for (size_t i = first; i < last; ++i) {
    const double time = std::min(end_[i], end) - std::max(start_[i], begin);
    if (time > longest) longest = time, best = i;
  }
  return best;
}

void SpanTrack::addTimes(size_t first, size_t last, double sign, TimeByKind& times) const {
  for (size_t i = first; i < last; ++i) times[kind_[i]] += sign * (end_[i] - start_[i]);
}

// Of spans [first, last), all of which meet the window.
TimeByKind SpanTrack::timeOf(size_t first, size_t last, double begin, double end) const {
  TimeByKind times{};
  if (first >= last) return times;
  const size_t from = (first + kBlock - 1) / kBlock, to = last / kBlock;
  if (from < to) {
    for (size_t k = 0; k < kSpanKinds; ++k) times[k] = before_[to][k] - before_[from][k];
    addTimes(first, from * kBlock, 1, times);
    addTimes(to * kBlock, last, 1, times);
  } else {
    addTimes(first, last, 1, times);
  }
  times[kind_[first]] -= std::max(0.0, begin - start_[first]);
  times[kind_[last - 1]] -= std::max(0.0, end_[last - 1] - end);
  return times;
}

TimeByKind SpanTrack::timeIn(double begin, double end) const {
  const size_t first = firstEndingAfter(begin);
  return timeOf(first, gallopStart(first, end), begin, end);
}

TrackRun SpanTrack::mixedColumn(int column, size_t first, size_t last, double begin,
                                double end) const {
  if (last - first == 1) return {column, column + 1, kind(first), uint32_t(first)};
  const TimeByKind times = timeOf(first, last, begin, end);
  const auto best = uint8_t(std::max_element(times.begin(), times.end()) - times.begin());
  uint32_t place = kManySpans;
  if (last - first <= kBlock)
    for (size_t i = first, found = 0; i < last; ++i)
      if (kind_[i] == best) place = found++ == 0 ? uint32_t(i) : kManySpans;
  return {column, column + 1, SpanKind(best), place};
}

void SpanTrack::runs(double begin, double end, int columns, std::vector<TrackRun>& out) const {
  out.clear();
  const double width = (end - begin) / columns;
  if (!(width > 0)) return;
  const auto edge = [&](int column) { return begin + column * width; };
  const auto columnOf = [&](double t) {
    return int(std::clamp((t - begin) / width, 0.0, double(columns)));
  };
  size_t i = firstEndingAfter(begin);
  for (int column = 0; column < columns && i < size();) {
    const double left = edge(column), right = edge(column + 1);
    i = gallopEnd(i, left);
    if (i == size()) break;
    if (start_[i] >= right) {
      column = std::max(column + 1, columnOf(start_[i]) - 1);
    } else if (start_[i] <= left && end_[i] >= right) {
      int stop = std::max(column + 1, columnOf(end_[i]) - 1);
      while (stop < columns && edge(stop + 1) <= end_[i]) ++stop;
      append(out, {column, stop, kind(i), uint32_t(i)});
      column = stop;
    } else {
      const size_t last = gallopStart(i, right);
      const TrackRun run = mixedColumn(column, i, last, left, right);
      append(out, run);
      i = last - 1;
      ++column;
    }
  }
}

}  // namespace meshplan::gui
