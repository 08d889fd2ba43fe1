// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <unordered_map>
#include <vector>

#include "core/work.h"

namespace meshplan {

/// How far a formula is off by kind of work: of the device, of each OpClass and compute dtype in
/// it, of each phase in that, of each operator in that. A kind's ratio is the median of its
/// residuals ln(measured / predicted), drawn towards the kind above it (the device's towards 0):
///
///   mean = above + (median - above) between / (between + within / n)
///
/// `within` is the variance of residuals inside a kind, `between` that of the medians of the kinds
/// of one level about those above them, both from the data (empirical Bayes; Efron and Morris, JASA
/// 1975). A kind without rows has the mean of the kind above it.
class ClassRatios {
 public:
  struct Residual {
    const OperatorWork* work = nullptr;
    double value = 0;
  };
  struct Ratio {
    double mean = 0;      // of the residual
    double variance = 0;  // of one work's residual about it
    size_t rows = 0;      // of the kind itself
  };

  /// `uncertainty` is the formula's own: what residuals are expected to be before any was seen.
  ClassRatios() = default;
  ClassRatios(const std::vector<Residual>& residuals, double uncertainty);

  /// Of the narrowest kind that has rows. No rows at all: mean 0, with a variance of 0 that means
  /// nothing is known.
  Ratio of(const OperatorWork& work) const;

  static constexpr size_t kLevels = 4;
  static std::array<uint64_t, kLevels> kindsOf(const OperatorWork& work);

 private:
  std::unordered_map<uint64_t, Ratio> ratios_;
};

}  // namespace meshplan
