// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace meshplan {
namespace {

/// The value below which a share q of the sorted values lies, interpolated.
double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

int sign(double x) {
  return (x > 0) - (x < 0);
}

double kendall(const std::vector<const Prediction*>& rows) {
  double concordant = 0, measuredPairs = 0, predictedPairs = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const int m = sign(rows[i]->measured - rows[j]->measured),
                p = sign(rows[i]->predicted - rows[j]->predicted);
      concordant += m * p;
      measuredPairs += m != 0;
      predictedPairs += p != 0;
    }
  const double pairs = std::sqrt(measuredPairs * predictedPairs);
  return pairs > 0 ? concordant / pairs : 0;
}

}  // namespace

bool insideInterval(const Prediction& p) {
  return std::abs(std::log(p.predicted / p.measured)) <= 1.645 * p.uncertainty;
}

ErrorSummary summarise(const std::vector<const Prediction*>& all) {
  ErrorSummary s;
  std::vector<const Prediction*> rows;
  for (const Prediction* p : all) p->problem.empty() ? rows.push_back(p) : void(++s.unpredicted);
  s.rows = rows.size();
  if (rows.empty()) return s;
  std::vector<double> errors, signedErrors, inside, logarithms;
  for (const Prediction* p : rows) {
    signedErrors.push_back(p->error());
    errors.push_back(std::abs(p->error()));
    inside.push_back(insideInterval(*p));
    logarithms.push_back(std::abs(std::log(p->predicted / p->measured)));
    if (errors.back() >= s.worst) s.worst = errors.back(), s.worstRow = p->row;
  }
  s.mean = mean(errors);
  s.median = quantile(errors, 0.5);
  s.p95 = quantile(errors, 0.95);
  s.bias = mean(signedErrors);
  s.lowest = *std::min_element(signedErrors.begin(), signedErrors.end());
  s.inside = mean(inside);
  s.tau = kendall(rows);
  s.sigma = quantile(logarithms, 0.9) / 1.645;
  return s;
}

ChoiceSummary summariseChoices(const std::vector<const Prediction*>& rows) {
  std::map<std::string, std::vector<const Prediction*>> groups;
  for (const Prediction* p : rows)
    if (!p->choice.empty() && p->problem.empty()) groups[p->choice].push_back(p);
  ChoiceSummary s;
  std::vector<double> regrets;
  double pairs = 0, ordered = 0;
  for (const auto& [choice, members] : groups) {
    if (members.size() < 2) continue;
    const auto least = [&](double Prediction::*figure) {
      return *std::min_element(
          members.begin(), members.end(),
          [&](const Prediction* a, const Prediction* b) { return a->*figure < b->*figure; });
    };
    const Prediction *picked = least(&Prediction::predicted), *best = least(&Prediction::measured);
    ++s.groups;
    s.best += picked->measured == best->measured;
    regrets.push_back(picked->measured / best->measured - 1);
    for (size_t i = 0; i < members.size(); ++i)
      for (size_t j = 0; j < i; ++j) {
        const int m = sign(members[i]->measured - members[j]->measured);
        if (m == 0) continue;
        ++pairs;
        ordered += m == sign(members[i]->predicted - members[j]->predicted);
      }
  }
  s.meanRegret = mean(regrets);
  s.p90Regret = quantile(regrets, 0.9);
  s.concordance = pairs > 0 ? ordered / pairs : 0;
  return s;
}

}  // namespace meshplan
