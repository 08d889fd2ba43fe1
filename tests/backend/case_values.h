// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <initializer_list>
#include <numeric>
#include <random>

#include "tests/backend/kernel_harness.h"

namespace meshplan {

/// Values in [low, high], at least 0.01 from each kink.
inline Array valuesIn(const Shape& shape, uint64_t seed, double low, double high,
                      std::initializer_list<double> kinks = {}) {
  constexpr double kMargin = 0.01;
  std::vector<double> values = randomArray(DType::f64, shape, seed).values();
  for (double& v : values) {
    v = low + (v + 1) / 2 * (high - low);
    for (const double kink : kinks)
      if (std::abs(v - kink) < kMargin) v = v < kink ? kink - kMargin : kink + kMargin;
  }
  return {{DType::f64, shape}, values};
}

inline Array anyValues(const Shape& shape, uint64_t seed) {
  return valuesIn(shape, seed, -1, 1);
}

/// Values that all differ by 0.02 or more, none near 0.
inline Array distinctValues(const Shape& shape, uint64_t seed) {
  std::vector<double> values(static_cast<size_t>(elementCount(shape)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = (static_cast<double>(i) - static_cast<double>(values.size() / 2) + 0.5) * 0.04;
  std::shuffle(values.begin(), values.end(), std::mt19937_64(seed));
  return {{DType::f64, shape}, values};
}

inline Array wholeNumbers(const Shape& shape, const std::vector<double>& values,
                          DType dtype = DType::i64) {
  return {{dtype, shape}, values};
}

/// 0, 1 ... below `end` in an order that follows from the seed.
inline Array wholeNumbersBelow(int64_t end, const Shape& shape, uint64_t seed,
                               DType dtype = DType::i64) {
  std::mt19937_64 random(seed);
  std::vector<double> values(static_cast<size_t>(elementCount(shape)));
  for (double& v : values) v = static_cast<double>(random() % static_cast<uint64_t>(end));
  return {{dtype, shape}, values};
}

using Ints = std::vector<int64_t>;

}  // namespace meshplan
