// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "profiles/measurement.h"

namespace meshplan {
namespace {

constexpr double kNormal = 1.4826;  // standard deviations per median absolute deviation

double medianOf(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

Samples summarise(std::vector<double> seconds) {
  Samples s;
  if (seconds.empty()) return s;
  const double median = medianOf(seconds);
  s.count = static_cast<int64_t>(seconds.size());
  s.median = Seconds(median);
  s.minimum = Seconds(*std::min_element(seconds.begin(), seconds.end()));
  std::vector<double> distances;
  for (double t : seconds) distances.push_back(std::abs(t - median));
  const double spread = kNormal * medianOf(distances);
  s.spread = Seconds(spread);
  if (spread > 0)
    s.outliers = std::count_if(seconds.begin(), seconds.end(),
                               [&](double t) { return t > median + kOutlierSpreads * spread; });
  return s;
}

std::string_view originName(Origin o) {
  static constexpr std::string_view kNames[] = {"measured", "run", "imported"};
  return kNames[static_cast<size_t>(o)];
}

}  // namespace meshplan
