// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "gui/models/compared_step.h"

namespace meshplan::gui {

/// What a moment of a rank is spent on: `work` is forward and backward, `exposed` communication
/// where the rank does not compute.
enum class Spending : uint8_t { work, recompute, optimizer, exposed, idle };
inline constexpr int kSpendings = 5;
using TimeBySpending = std::array<double, kSpendings>;  // seconds

/// What one rank class has spent of its step by any time: found by search among the moments at
/// which the spending changes.
class SpentTime {
 public:
  SpentTime() = default;
  SpentTime(const Program& program, const Timeline& timeline, size_t rankClass);

  /// Adds up to t, or to the end of the step (or of its last span) after it.
  TimeBySpending by(double t) const;
  double end() const { return times_.empty() ? 0 : times_.back(); }
  /// The share of its work that is done by then, from 0 to 1.
  double workDone(double t) const;
  /// From when to when that share of the work, and no more, is done.
  std::pair<double, double> when(double workDone) const;

 private:
  double work(size_t piece) const { return sums_[piece][size_t(Spending::work)]; }

  std::vector<double> times_;  // ends of pieces that are spent alike
  std::vector<Spending> spending_;
  std::vector<TimeBySpending> sums_;
};

/// How far the second step is behind the first when it ends an instruction of the compute stream:
/// `behind` seconds at `time` of the second, and the instruction's own times. One more, of no
/// instruction, is for the end of the step.
struct LagPoint {
  double time = 0, behind = 0;
  double first = 0, second = 0;
};

/// Why one step of a stage takes longer than another.
struct StepLag {
  SpentTime first, second;
  std::vector<LagPoint> points;  // by time; none unless both are of the same program

  /// When the first had done as much of its work as the second has by t.
  double firstTime(double t) const;
  /// What the second has spent more than the first until both had done the same share of their
  /// work, t being the second's time: adds up to t - firstTime(t), at the end to the difference of
  /// both steps.
  TimeBySpending difference(double t) const;
};
/// `rankClass` of each. n log n in the spans.
StepLag lagOf(const ComparedStep& first, size_t firstClass, const ComparedStep& second,
              size_t secondClass);

}  // namespace meshplan::gui
