// SPDX-License-Identifier: Apache-2.0
#include "backend/link_fit.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr double kFastest = 1e15;  // B/s

struct Line {
  double latency = 0, secondsPerByte = 0;
  double at(double bytes) const { return latency + bytes * secondsPerByte; }
};

void check(std::span<const TransferTime> points) {
  bool several = false;
  for (const TransferTime& p : points) {
    if (!(p.bytes > 0 && p.seconds > 0 && std::isfinite(p.bytes) && std::isfinite(p.seconds)))
      throw Error(ErrorKind::input, "a size or time of a transfer is not positive and finite");
    several = several || p.bytes != points.front().bytes;
  }
  if (!several)
    throw Error(ErrorKind::input, "latency and bandwidth need transfers of two sizes at least");
}

std::vector<Line> candidates(std::span<const TransferTime> points) {
  std::vector<Line> lines;
  for (size_t i = 0; i < points.size(); ++i) {
    const TransferTime& p = points[i];
    lines.push_back({0, p.seconds / p.bytes});
    lines.push_back({p.seconds, 0});
    for (const TransferTime& q : points.subspan(i + 1)) {
      const double slope = (q.seconds - p.seconds) / (q.bytes - p.bytes);
      const double latency = p.seconds - slope * p.bytes;
      if (std::isfinite(slope) && slope >= 0 && latency >= 0) lines.push_back({latency, slope});
    }
  }
  return lines;
}

double deviationOf(const Line& line, const TransferTime& p) {
  return std::abs(std::log(line.at(p.bytes) / p.seconds));
}

double sumOfDeviations(const Line& line, std::span<const TransferTime> points) {
  double sum = 0;
  for (const TransferTime& p : points) sum += deviationOf(line, p);
  return sum;
}

double medianDeviation(const LinkFit& fit, std::span<const TransferTime> points) {
  std::vector<double> all;
  for (const TransferTime& p : points)
    all.push_back(std::abs(p.seconds / fit.seconds(p.bytes) - 1));
  std::nth_element(all.begin(), all.begin() + static_cast<long>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

}  // namespace

LinkFit fitLink(std::span<const TransferTime> points) {
  check(points);
  const std::vector<Line> lines = candidates(points);
  double least = INFINITY;
  LinkFit fit;
  for (const Line& line : lines) {
    const double sum = sumOfDeviations(line, points);
    if (sum >= least) continue;
    least = sum;
    fit.latency = Seconds(line.latency);
    fit.bandwidth = BytesPerSecond(1 / std::max(line.secondsPerByte, 1 / kFastest));
  }
  fit.deviation = medianDeviation(fit, points);
  return fit;
}

}  // namespace meshplan
