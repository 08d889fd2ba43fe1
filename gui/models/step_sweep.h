// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "core/timeline.h"

namespace meshplan::gui {

/// A stretch of time in which the same spans of a rank class run: at most one computes, some
/// communicate. Neither: the rank idles.
struct Stretch {
  double begin = 0, end = 0;
  const Span* computing = nullptr;
  std::vector<const Span*> communicating;

  double length() const { return end - begin; }
};

/// Visits the stretches of one rank class' spans (in order of start) from 0 to the end of the step
/// or of the last span, whichever is later: each moment once.
template <class Visit>
void sweepStep(const std::vector<const Span*>& spans, double stepTime, const Visit& visit) {
  Stretch now;
  std::vector<const Span*> active;
  const auto until = [&](double t) {
    while (now.begin < t) {
      now.end = t;
      for (const Span* s : active) now.end = std::min(now.end, s->end.value);
      now.computing = nullptr;
      now.communicating.clear();
      for (const Span* s : active)
        if (s->stream != Stream::compute)
          now.communicating.push_back(s);
        else if (!now.computing)
          now.computing = s;
      if (now.end > now.begin) visit(std::as_const(now));
      now.begin = now.end;
      std::erase_if(active, [&](const Span* s) { return s->end.value <= now.begin; });
    }
  };
  double last = stepTime;
  for (const Span* s : spans) {
    until(s->start.value);
    if (s->end.value > now.begin) active.push_back(s);
    last = std::max(last, s->end.value);
  }
  until(last);
}

/// The spans of each rank class.
inline std::vector<std::vector<const Span*>> spansByRankClass(const Program& program,
                                                              const Timeline& timeline) {
  std::vector<std::vector<const Span*>> out(program.rankClasses.size());
  for (const Span& s : timeline.spans) out[s.rankClass].push_back(&s);
  return out;
}

}  // namespace meshplan::gui
