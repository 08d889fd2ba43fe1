// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "tests/backend/kernel_harness.h"

namespace meshplan {
namespace {

double tolerance(DType t) {
  return t == DType::f64 ? 1e-12 : t == DType::f32 ? 1e-5 : 2e-2;
}

std::string describe(const KernelCase& c) {
  std::string text = std::string(c.def) + " " + std::string(dtypeName(c.inputs[0].type().dtype));
  for (const Array& a : c.inputs) text += " " + shapeText(a.shape());
  return text + " axis " + std::to_string(c.attributes.getInt("axis", -1));
}

Array positive(DType t, const Shape& shape, uint64_t seed) {
  std::vector<double> values = randomArray(t, shape, seed).values();
  for (double& v : values) v = 1.5 + v;
  return {{t, shape}, values};
}

std::vector<KernelCase> rowNorms(DType t) {
  const auto r = [&](Shape shape) { return randomArray(t, shape, shape.size() + 3); };
  const Attributes fromOne{{"axis", int64_t{1}}, {"epsilon", 1e-3}};
  return {
      {"LayerNormalization", {}, {r({4, 6, 33}), r({33}), r({33})}},
      {"LayerNormalization", {}, {r({200, 48}), r({48})}},
      {"LayerNormalization", fromOne, {r({4, 6, 5}), r({6, 5}), r({6, 5})}},
      {"LayerNormalization", fromOne, {r({4, 6, 5}), r({5}), r({6, 1})}},
      {"LayerNormalization", {}, {r({7, 16}), r({1}), r({16})}},
      {"RMSNormalization", {}, {r({4, 6, 33}), r({33})}},
      {"RMSNormalization", fromOne, {r({4, 6, 5}), r({6, 5})}},
  };
}

std::vector<KernelCase> channelNorms(DType t) {
  const auto r = [&](Shape shape) { return randomArray(t, shape, shape.size() + 3); };
  const Attributes pairs{{"group_size", int64_t{2}}};
  const Attributes frozen{{"training", int64_t{0}}, {"epsilon", 1e-3}};
  return {
      {"BatchNormalization", {}, {r({4, 6, 5, 3}), r({6}), r({6})}},
      {"BatchNormalization", {}, {r({8, 6}), r({6}), r({6})}},
      {"BatchNormalization", {}, {r({2, 3, 4, 5, 6}), r({3}), r({3})}},
      {"BatchNormalization", frozen, {r({4, 6, 5}), r({6}), r({6}), r({6}), positive(t, {6}, 9)}},
      {"InstanceNormalization", {}, {r({4, 6, 5, 3}), r({6}), r({6})}},
      {"GroupNormalization", pairs, {r({4, 6, 5, 3}), r({6}), r({6})}},
      {"GroupNormalization", pairs, {r({4, 6, 5}), r({3}), r({3})}},
  };
}

std::vector<KernelCase> alongAxes(DType t) {
  std::vector<KernelCase> cases;
  for (const char* def : {"Softmax", "LogSoftmax", "LpNormalization"})
    for (int64_t axis : {-1, 0, 1, 2, -3})
      cases.push_back({def, {{"axis", axis}}, {randomArray(t, {4, 6, 70}, 1)}});
  for (const char* def : {"Softmax", "LogSoftmax"})
    cases.push_back(
        {def, {{"axis", int64_t{1}}, {"coerced", int64_t{1}}}, {randomArray(t, {4, 6, 7}, 1)}});
  cases.push_back({"LpNormalization", {{"p", int64_t{1}}}, {randomArray(t, {4, 9}, 1)}});
  cases.push_back(
      {"LRN", {{"size", int64_t{3}}, {"alpha", 0.5}}, {randomArray(t, {2, 7, 3, 2}, 1)}});
  cases.push_back({"LRN",
                   {{"size", int64_t{4}}, {"alpha", 0.5}, {"beta", 0.5}, {"bias", 2.0}},
                   {randomArray(t, {2, 7, 3}, 1)}});
  cases.push_back({"MeanVarianceNormalization", {}, {randomArray(t, {3, 4, 5, 6}, 1)}});
  cases.push_back({"MeanVarianceNormalization",
                   {{"axes", std::vector<int64_t>{1, -1}}},
                   {randomArray(t, {3, 4, 5, 6}, 1)}});
  return cases;
}

std::vector<KernelCase> allCases(DType t) {
  std::vector<KernelCase> all;
  for (auto list : {&rowNorms, &channelNorms, &alongAxes})
    for (KernelCase& c : list(t)) all.push_back(std::move(c));
  return all;
}

TEST(Normalization, rowsHaveTheStatisticsOfTheDefinition) {
  for (const KernelCase& c : rowNorms(DType::f64)) {
    const std::vector<double> x = c.inputs[0].values(), y = runForward(c)[0].values();
    const bool centred = c.def == "LayerNormalization";
    const Shape& s = c.inputs[0].shape();
    const int64_t axis = c.attributes.getInt("axis", -1);
    const size_t f = axis == -1 ? static_cast<size_t>(s.back()) : static_cast<size_t>(s[1] * s[2]);
    const double epsilon = c.attributes.getFloat("epsilon", 1e-5);
    const auto at = [&](size_t i, size_t j) {  // where feature j finds its scale or shift
      if (i >= c.inputs.size()) return i == 1 ? 1.0 : 0.0;
      const Shape& b = c.inputs[i].shape();
      const std::vector<double> v = c.inputs[i].values();
      if (v.size() == f) return v[j];
      if (v.size() == 1) return v[0];
      return b.back() == 1 ? v[j / static_cast<size_t>(s.back())]
                           : v[j % static_cast<size_t>(s.back())];
    };
    std::vector<double> expected(x.size());
    for (size_t row = 0; row < x.size() / f; ++row) {
      double mean = 0, variance = 0;
      for (size_t j = 0; j < f && centred; ++j) mean += x[row * f + j] / static_cast<double>(f);
      for (size_t j = 0; j < f; ++j)
        variance += std::pow(x[row * f + j] - mean, 2) / static_cast<double>(f);
      for (size_t j = 0; j < f; ++j)
        expected[row * f + j] =
            (x[row * f + j] - mean) / std::sqrt(variance + epsilon) * at(1, j) + at(2, j);
    }
    EXPECT_LE(largestError(y, expected), 1e-12) << describe(c);
  }
}

TEST(Normalization, channelsHaveTheStatisticsOfTheDefinition) {
  for (const KernelCase& c : channelNorms(DType::f64)) {
    const std::vector<double> x = c.inputs[0].values(), y = runForward(c)[0].values();
    const Shape& s = c.inputs[0].shape();
    const int64_t channels = s[1], inner = c.inputs[0].type().elements() / s[0] / channels;
    const bool whole = c.def == "BatchNormalization", given = c.inputs.size() == 5;
    const int64_t size =
        whole || c.def == "InstanceNormalization" ? 1 : c.attributes.getInt("group_size", channels);
    std::vector<double> expected(x.size());
    const auto sameStatistic = [&](int64_t i, int64_t k) {
      const int64_t a = i / inner, b = k / inner;
      return a % channels / size == b % channels / size && (whole || a / channels == b / channels);
    };
    for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
      double mean = 0, variance = 0, count = 0;
      for (int64_t k = 0; k < static_cast<int64_t>(x.size()); ++k)
        if (sameStatistic(i, k)) mean += x[static_cast<size_t>(k)], ++count;
      mean /= count;
      for (int64_t k = 0; k < static_cast<int64_t>(x.size()); ++k)
        if (sameStatistic(i, k)) variance += std::pow(x[static_cast<size_t>(k)] - mean, 2) / count;
      const int64_t channel = i / inner % channels;
      const auto of = [&](size_t input) {
        const std::vector<double> v = c.inputs[input].values();
        return v[static_cast<size_t>(channel * static_cast<int64_t>(v.size()) / channels)];
      };
      if (given) mean = of(3), variance = of(4);
      const double epsilon = c.attributes.getFloat("epsilon", 1e-5);
      expected[static_cast<size_t>(i)] =
          (x[static_cast<size_t>(i)] - mean) / std::sqrt(variance + epsilon) * of(1) + of(2);
    }
    EXPECT_LE(largestError(y, expected), 1e-12) << describe(c);
  }
}

TEST(Normalization, softmaxSumsToOneAlongItsAxisAndLogSoftmaxIsItsLogarithm) {
  for (const KernelCase& c : alongAxes(DType::f64)) {
    if (c.def != "Softmax") continue;
    KernelCase logarithm = c;
    logarithm.def = "LogSoftmax";
    const std::vector<double> x = c.inputs[0].values(), y = runForward(c)[0].values();
    std::vector<double> l = runForward(logarithm)[0].values();
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i], l[i] = std::exp(l[i]);
    EXPECT_LE(largestError(l, y), 1e-12) << describe(c);
    const Shape& s = c.inputs[0].shape();
    const int64_t axis = (c.attributes.getInt("axis", -1) + 3) % 3;
    const double lines = c.attributes.getInt("coerced", 0)
                             ? static_cast<double>(s[0])
                             : static_cast<double>(c.inputs[0].type().elements()) /
                                   static_cast<double>(s[static_cast<size_t>(axis)]);
    EXPECT_NEAR(sum, lines, 1e-10) << describe(c);
    const int64_t stride = axis == 0 ? s[1] * s[2] : axis == 1 ? s[2] : 1;
    const double ratio = y[0] / y[static_cast<size_t>(stride)];
    EXPECT_NEAR(ratio, std::exp(x[0] - x[static_cast<size_t>(stride)]), 1e-12) << describe(c);
  }
}

TEST(Normalization, softmaxOfMaskedAndLargeValuesIsFinite) {
  for (const DType t : {DType::f64, DType::f32}) {
    const KernelCase c{
        "Softmax", {}, {Array({t, {2, 3}}, {1000, 0, -INFINITY, -1000, -1e30, -1000})}};
    EXPECT_LE(largestError(runForward(c)[0].values(), {1, 0, 0, 0.5, 0, 0.5}), 1e-7);
  }
}

TEST(Normalization, hardmaxMarksTheFirstLargest) {
  const KernelCase c{
      "Hardmax", {{"axis", int64_t{0}}}, {Array({DType::f32, {2, 3}}, {1, 5, 3, 2, 5, 1})}};
  EXPECT_EQ(runForward(c)[0].values(), (std::vector<double>{0, 1, 1, 1, 0, 0}));
}

TEST(Normalization, localResponseFollowsItsFormula) {
  const KernelCase c{"LRN",
                     {{"size", int64_t{3}}, {"alpha", 0.3}, {"beta", 0.5}, {"bias", 2.0}},
                     {Array({DType::f64, {1, 4, 1}}, {1, 2, 3, 4})}};
  const auto y = [](double x, double squares) { return x / std::sqrt(2 + 0.1 * squares); };
  EXPECT_LE(largestError(runForward(c)[0].values(), {y(1, 5), y(2, 14), y(3, 29), y(4, 25)}),
            1e-14);
}

TEST(Normalization, lpAndMeanVarianceNormsAreOne) {
  for (const KernelCase& c : alongAxes(DType::f64)) {
    const std::vector<double> y = runForward(c)[0].values();
    double squares = 0, sum = 0, absolute = 0;
    for (double v : y) squares += v * v, sum += v, absolute += std::abs(v);
    const double n = static_cast<double>(y.size());
    if (c.def == "MeanVarianceNormalization") {
      EXPECT_NEAR(squares / n, 1, 1e-7);
      EXPECT_NEAR(sum, 0, 1e-10);
    } else if (c.def == "LpNormalization" && c.attributes.getInt("p", 2) == 1) {
      EXPECT_NEAR(absolute, 4, 1e-12);
    } else if (c.def == "LpNormalization") {
      const int64_t axis = (c.attributes.getInt("axis", -1) + 3) % 3;
      const int64_t extent = c.inputs[0].shape()[static_cast<size_t>(axis)];
      EXPECT_NEAR(squares, n / static_cast<double>(extent), 1e-10) << describe(c);
    }
  }
}

TEST(Normalization, gradientsAreThoseOfDifferences) {
  for (const KernelCase& c : allCases(DType::f64)) EXPECT_LE(gradientError(c), 1e-6) << describe(c);
}

TEST(Normalization, fp32AndBf16AreCloseToFp64) {
  for (const DType t : {DType::f32, DType::bf16})
    for (const KernelCase& c : allCases(t))
      EXPECT_LE(precisionError(c), (t == DType::bf16 ? 2 : 1) * tolerance(t)) << describe(c);
}

TEST(Normalization, accumulatedGradientsAreSums) {
  for (const KernelCase& c : allCases(DType::f32))
    EXPECT_LE(accumulationError(c), 1e-5) << describe(c);
}

TEST(Normalization, partsAlongEachAxisMakeTheWhole) {
  const auto r = [](Shape shape) { return randomArray(DType::f64, shape, shape.size() + 1); };
  const KernelCase layer{"LayerNormalization", {}, {r({4, 6, 8}), r({8}), r({8})}};
  for (const char* axis : {"rows0", "rows1"}) EXPECT_LE(shardingError(layer, axis), 1e-12);
  const KernelCase batch{"BatchNormalization", {}, {r({4, 6, 5}), r({6}), r({6})}};
  EXPECT_LE(shardingError(batch, "channels"), 1e-12);
  const KernelCase group{
      "GroupNormalization", {{"group_size", int64_t{2}}}, {r({4, 8, 5}), r({8}), r({8})}};
  for (const char* axis : {"batch", "groups"}) EXPECT_LE(shardingError(group, axis), 1e-12);
  const KernelCase softmax{"Softmax", {{"axis", int64_t{1}}}, {r({4, 6, 8})}};
  for (const char* axis : {"dim0", "dim2"}) EXPECT_LE(shardingError(softmax, axis), 1e-12);
}

TEST(Normalization, runningStatisticsMoveInTrainingAndAreReadInEvaluation) {
  KernelCase c{"BatchNormalization",
               {{"momentum", 0.75}},
               {randomArray(DType::f32, {8, 2, 3}, 4), positive(DType::f32, {2}, 5),
                randomArray(DType::f32, {2}, 6), randomArray(DType::f32, {2}, 7),
                positive(DType::f32, {2}, 8)}};
  const std::vector<double> before = c.inputs[4].values(), x = c.inputs[0].values();
  KernelCase evaluation = c;
  evaluation.training = false;
  EXPECT_GT(largestError(runForward(c)[0], runForward(evaluation)[0]), 0.1);
  double mean = 0, variance = 0;
  for (size_t n = 0; n < 8; ++n)
    for (size_t s = 0; s < 3; ++s) mean += x[n * 6 + s] / 24;
  for (size_t n = 0; n < 8; ++n)
    for (size_t s = 0; s < 3; ++s) variance += std::pow(x[n * 6 + s] - mean, 2) / 23;
  EXPECT_NEAR(c.inputs[4].values()[0], 0.75 * before[0] + 0.25 * variance, 1e-6);
}

}  // namespace
}  // namespace meshplan
