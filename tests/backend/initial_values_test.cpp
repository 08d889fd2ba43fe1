// SPDX-License-Identifier: Apache-2.0
#include "backend/initial_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/graph_text.h"

namespace meshplan {
namespace {

double normalCumulative(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}

TEST(InitialValues, NormalNumbersHaveTheirDistribution) {
  const HostTensor values = normalValues({1000, 1000}, PlacedRandom(5, "w"), 2);
  std::vector<float> sorted(values.as<float>().begin(), values.as<float>().end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  double kolmogorov = 0;
  for (size_t i = 0; i < sorted.size(); ++i)
    kolmogorov = std::max(kolmogorov, std::abs(normalCumulative(sorted[i] / 2.0) -
                                               (static_cast<double>(i) + 0.5) / n));
  EXPECT_LT(kolmogorov * std::sqrt(n), 1.63);  // the 1 % point of Kolmogorov's distribution
  EXPECT_GT(sorted.back(), 8);                 // 4 deviations: 32 of a million are beyond
  EXPECT_LT(sorted.back(), 14);
}

TEST(InitialValues, NeighboursAreIndependent) {
  const HostTensor values = normalValues({1 << 20}, PlacedRandom(6, "w"), 1);
  const auto v = values.as<float>();
  for (size_t lag : {1, 2, 16, 64}) {
    double sum = 0, squares = 0;
    for (size_t i = lag; i < v.size(); ++i) {
      sum += static_cast<double>(v[i]) * static_cast<double>(v[i - lag]);
      squares += (static_cast<double>(v[i]) * v[i] - 1) *
                 (static_cast<double>(v[i - lag]) * v[i - lag] - 1);
    }
    EXPECT_LT(std::abs(sum), 4 * 1024.0) << lag;      // 4 deviations of the sum
    EXPECT_LT(std::abs(squares), 8 * 1024.0) << lag;  // whose terms have the variance 4
  }
}

TEST(InitialValues, DependOnSeedAndNameAndPlaceOnly) {
  const auto first = [](uint64_t seed, const char* name, int64_t count) {
    const HostTensor values = normalValues({count}, PlacedRandom(seed, name), 1);
    const auto v = values.as<float>();
    return std::vector<float>(v.begin(), v.begin() + 100);
  };
  EXPECT_EQ(first(1, "a", 100), first(1, "a", 1 << 18));
  EXPECT_NE(first(1, "a", 100), first(2, "a", 100));
  EXPECT_NE(first(1, "a", 100), first(1, "b", 100));
}

TEST(InitialValues, FollowTheRoleOfTheParameter) {
  const Model model = modelFromText(R"(
      ids = ints [2,8]
      x = Embedding(ids, *200x300)
      n = LayerNormalization(x, *300, *300)
      y = Linear(n, *300x400, *400))",
                                    2);
  std::map<Shape, std::vector<double>> deviations;
  for (size_t t = 0; t < model.graph.tensorCount(); ++t) {
    const Tensor& tensor = model.graph.tensor(TensorId(t));
    if (tensor.kind != TensorKind::parameter) continue;
    const std::vector<double> values = toDoubles(initialValues(model.graph, TensorId(t), 1));
    if (tensor.type.shape.size() == 1) {
      EXPECT_EQ(std::set<double>(values.begin(), values.end()).size(), 1u);
      deviations[tensor.type.shape].push_back(values[0]);
      continue;
    }
    double squares = 0;
    for (double v : values) squares += v * v;
    deviations[tensor.type.shape].push_back(
        std::sqrt(squares / static_cast<double>(values.size())));
  }
  EXPECT_EQ(deviations.at({300}), (std::vector<double>{1, 0}));
  EXPECT_EQ(deviations.at({400}), std::vector<double>{0});
  EXPECT_NEAR(deviations.at({200, 300})[0], 0.02, 0.0002);
  EXPECT_NEAR(deviations.at({300, 400})[0], 1 / std::sqrt(300.0), 0.0006);
}

}  // namespace
}  // namespace meshplan
