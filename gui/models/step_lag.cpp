// SPDX-License-Identifier: Apache-2.0
#include "gui/models/step_lag.h"

#include <algorithm>

#include "gui/models/step_sweep.h"

namespace meshplan::gui {
namespace {

Spending spendingOf(const Program& program, const Stretch& now) {
  if (!now.computing) return now.communicating.empty() ? Spending::idle : Spending::exposed;
  const Span& s = *now.computing;
  const Call& call = program.rankClasses[s.rankClass].calls[s.call];
  const Routine& routine = program.routines[call.routine];
  if (routine.kind == Routine::Kind::update) return Spending::optimizer;
  return routine.instructions[s.instruction].recomputed ? Spending::recompute : Spending::work;
}

std::vector<const Span*> spansOf(const Timeline& timeline, size_t rankClass, bool onlyCompute) {
  std::vector<const Span*> out;
  for (const Span& s : timeline.spans)
    if (s.rankClass == rankClass && (!onlyCompute || s.stream == Stream::compute))
      out.push_back(&s);
  return out;
}

uint64_t keyOf(const Span& s) {
  return uint64_t(s.call) << 32 | s.instruction;
}

std::vector<LagPoint> pointsOf(const Timeline& first, const Timeline& second, size_t rankClass) {
  std::vector<std::pair<uint64_t, const Span*>> twins;
  for (const Span* s : spansOf(first, rankClass, true)) twins.emplace_back(keyOf(*s), s);
  std::sort(twins.begin(), twins.end());
  std::vector<LagPoint> out;
  for (const Span* s : spansOf(second, rankClass, true)) {
    const auto twin = std::lower_bound(twins.begin(), twins.end(),
                                       std::pair<uint64_t, const Span*>(keyOf(*s), nullptr));
    if (twin == twins.end() || twin->first != keyOf(*s)) continue;
    const Span& t = *twin->second;
    out.push_back(
        {s->end.value, (s->end - t.end).value, (t.end - t.start).value, (s->end - s->start).value});
  }
  const double end = second.stepTime.value;
  out.push_back({end, end - first.stepTime.value, 0, 0});
  std::stable_sort(out.begin(), out.end(),
                   [](const LagPoint& a, const LagPoint& b) { return a.time < b.time; });
  return out;
}

}  // namespace

SpentTime::SpentTime(const Program& program, const Timeline& timeline, size_t rankClass) {
  TimeBySpending sum{};
  sweepStep(spansOf(timeline, rankClass, false), timeline.stepTime.value, [&](const Stretch& now) {
    const Spending spending = spendingOf(program, now);
    sum[size_t(spending)] += now.length();
    if (!spending_.empty() && spending_.back() == spending) {
      times_.back() = now.end;
      sums_.back() = sum;
      return;
    }
    times_.push_back(now.end);
    spending_.push_back(spending);
    sums_.push_back(sum);
  });
}

TimeBySpending SpentTime::by(double t) const {
  if (times_.empty()) return {};
  const auto at = std::lower_bound(times_.begin(), times_.end(), t);
  if (at == times_.end()) return sums_.back();
  const auto i = size_t(at - times_.begin());
  TimeBySpending out = sums_[i];
  out[size_t(spending_[i])] -= times_[i] - std::max(0.0, t);
  return out;
}

double SpentTime::workDone(double t) const {
  const double all = times_.empty() ? 0 : work(times_.size() - 1);
  return all > 0 ? by(t)[size_t(Spending::work)] / all : 0;
}

std::pair<double, double> SpentTime::when(double workDone) const {
  if (times_.empty()) return {0, 0};
  const double all = work(times_.size() - 1), wanted = workDone * all, rounding = 1e-12 * all;
  const auto firstWith = [&](double least) {
    size_t low = 0, high = times_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      (work(middle) >= least ? high : low) = work(middle) >= least ? middle : middle + 1;
    }
    return low;
  };
  // Inside a piece of work: as long before its end as work is missing.
  const auto timeIn = [&](size_t piece) { return times_[piece] - (work(piece) - wanted); };
  const size_t reached = firstWith(wanted - rounding), passed = firstWith(wanted + rounding);
  const double begin = wanted <= rounding ? 0 : timeIn(std::min(reached, times_.size() - 1));
  const double end = passed < times_.size() ? timeIn(passed) : times_.back();
  return {std::min(begin, end), end};
}

double StepLag::firstTime(double t) const {
  t = std::clamp(t, 0.0, second.end());
  const double done = second.workDone(t);
  const auto [from, to] = second.when(done);
  const auto [begin, end] = first.when(done);
  return to > from ? begin + (t - from) / (to - from) * (end - begin) : end;
}

TimeBySpending StepLag::difference(double t) const {
  TimeBySpending out = second.by(t);
  const TimeBySpending less = first.by(firstTime(t));
  for (size_t k = 0; k < kSpendings; ++k) out[k] -= less[k];
  return out;
}

StepLag lagOf(const ComparedStep& first, size_t firstClass, const ComparedStep& second,
              size_t secondClass) {
  StepLag out;
  out.first = SpentTime(*first.program, *first.timeline, firstClass);
  out.second = SpentTime(*second.program, *second.timeline, secondClass);
  if (firstClass == secondClass && sameProgram(*first.program, *second.program))
    out.points = pointsOf(*first.timeline, *second.timeline, firstClass);
  return out;
}

}  // namespace meshplan::gui
