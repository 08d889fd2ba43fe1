// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

bool isLoss(const KernelCase& c) {
  return operatorDef(c.def).opClass == OpClass::loss;
}

/// Random weights of the outputs that gradients flow from. Beside its result, attention only has
/// what its own gradient reads.
std::vector<Array> outputWeights(const KernelCase& c, const std::vector<Array>& outputs) {
  std::vector<Array> weights;
  for (const Array& y : outputs) {
    if (!isFloating(y.type().dtype)) break;
    if (c.def == "Attention" && !weights.empty()) break;
    weights.push_back(isLoss(c) ? Array(y.type(), {1.})
                                : randomArray(y.type().dtype, y.shape(), 90 + weights.size()));
  }
  return weights;
}

double weightedSum(const KernelCase& c, const std::vector<Array>& weights) {
  const std::vector<Array> outputs = runForward(c);
  double sum = 0;
  for (size_t o = 0; o < weights.size(); ++o) {
    const std::vector<double> y = outputs[o].values(), w = weights[o].values();
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * w[i];
  }
  return sum;
}

/// The fourth-order central difference: its error is h^4 / 30 times the fifth derivative.
double difference(const KernelCase& c, size_t input, size_t element,
                  const std::vector<Array>& weights) {
  constexpr double kStep = 1e-3;
  const auto at = [&](double steps) {
    KernelCase moved = c;
    std::vector<double> values = c.inputs[input].values();
    values[element] += steps * kStep;
    moved.inputs[input] = Array(c.inputs[input].type(), values);
    return weightedSum(moved, weights);
  };
  return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * kStep);
}

/// Largest error of a gradient relative to the largest element of it (1e-3 at least).
double relativeError(const KernelCase& c, size_t input, const Array& gradient,
                     const std::vector<Array>& weights) {
  const std::vector<double> exact = gradient.values();
  double largest = 1e-3, worst = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double numeric = difference(c, input, i, weights);
    largest = std::max(largest, std::abs(numeric));
    const double error = std::abs(exact[i] - numeric);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst / largest;
}

bool hasKernels(const OperatorDef& def) {
  const CpuKernels* kernels = findCpuKernels(def.name);
  return kernels && kernels->forward && (def.gradient == GradientKind::none || kernels->backward);
}

std::string_view reasonFor(const OperatorDef& def) {
  for (const WithoutKernels& w : operatorsWithoutKernels())
    if (w.def == def.name) return w.reason;
  return {};
}

class EveryOperator : public testing::TestWithParam<std::string_view> {
 protected:
  const OperatorDef& def() const { return operatorDef(GetParam()); }
};

TEST_P(EveryOperator, HasKernelsOrAReason) {
  EXPECT_TRUE(hasKernels(def()) || !reasonFor(def()).empty());
}

TEST_P(EveryOperator, GradientsAgreeWithCentralDifferences) {
  if (def().gradient == GradientKind::none) return;
  if (!hasKernels(def())) GTEST_SKIP() << reasonFor(def());
  const std::vector<KernelCase> cases = operatorCases(def().name);
  ASSERT_FALSE(cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    const KernelCase& c = cases[i];
    const std::vector<Array> outputs = runForward(c), weights = outputWeights(c, outputs);
    const auto gradients = runBackward(c, outputs, isLoss(c) ? std::vector<Array>{} : weights);
    size_t checked = 0;
    for (size_t k = 0; k < gradients.size(); ++k) {
      if (!gradients[k]) continue;
      ++checked;
      EXPECT_LE(relativeError(c, k, *gradients[k], weights), 1e-6)
          << caseName(c, i) << " input " << k;
    }
    EXPECT_GT(checked, 0u) << caseName(c, i);
  }
}

TEST_P(EveryOperator, GradientsAreAddedWhereAsked) {
  if (!hasKernels(def()) || def().gradient == GradientKind::none) return;
  const std::vector<KernelCase> cases = operatorCases(def().name);
  for (size_t i = 0; i < cases.size(); ++i)
    EXPECT_LE(accumulationError(cases[i]), 1e-12) << caseName(cases[i], i);
}

KernelCase in(DType dtype, const KernelCase& c) {
  KernelCase narrow = c;
  for (Array& a : narrow.inputs)
    if (isFloating(a.type().dtype)) a = Array({dtype, a.shape()}, a.values());
  if (c.def == "Cast") narrow.attributes.set("to", std::string(dtypeName(dtype)));
  return narrow;
}

/// fp32 and bf16 results and gradients are those of fp64, rounded.
TEST_P(EveryOperator, PrecisionsAgree) {
  if (!hasKernels(def()) || GetParam() == "Cast") return;
  const std::vector<KernelCase> cases = operatorCases(def().name);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_LE(precisionError(in(DType::f32, cases[i])), 2e-5) << caseName(cases[i], i);
    EXPECT_LE(precisionError(in(DType::bf16, cases[i])), 4e-2) << caseName(cases[i], i);
  }
}

bool walksOutermost(const TensorWalk& walk, int8_t axis, const LoopNest& nest) {
  for (const DimWalk& dim : walk) {
    if (!dim.has(axis)) continue;
    for (const int8_t a : {dim.outer, dim.middle, dim.inner}) {
      if (a == axis) break;
      if (a != kNoAxis && nest.axes[static_cast<size_t>(a)].extent > 1) return false;
    }
  }
  return true;
}

bool splits(const LoopNest& nest, int8_t axis) {
  const Axis& a = nest.axes[static_cast<size_t>(axis)];
  if (a.extent < 2 || a.extent % 2 != 0) return false;
  if (a.kind != AxisKind::parallel && a.kind != AxisKind::reduce) return false;
  for (const auto* walks : {&nest.inputs, &nest.outputs})
    for (const TensorWalk& walk : *walks)
      if (!walksOutermost(walk, axis, nest)) return false;
  return true;
}

/// Why an axis cannot be split here though its nest allows it.
std::string_view notHere(const KernelCase& c, std::string_view axis) {
  if (c.def == "Reshape" || c.def == "Expand" || c.attributes.has("sizes"))
    return "the attribute is of the whole shape; executors pass local types";
  if (c.def == "ConvTranspose" && axis == "groups")
    return "the attribute counts the groups of the whole; executors pass local types";
  if ((c.def == "Dispatch" || c.def == "Combine") && axis == "rows1")
    return "slots are filled sample by sample";
  return {};
}

TEST_P(EveryOperator, PartsMakeTheWhole) {
  if (!hasKernels(def())) return;
  for (const KernelCase& c : operatorCases(def().name)) {
    std::vector<TensorType> in, out;
    for (const Array& a : c.inputs) in.push_back(a.type());
    out = def().infer(c.attributes, in);
    const LoopNest nest = def().nest({c.attributes, in, out});
    for (size_t a = 0; a < nest.axes.size(); ++a) {
      const std::string_view axis = nest.axes[a].name;
      if (!splits(nest, static_cast<int8_t>(a)) || !notHere(c, axis).empty()) continue;
      EXPECT_LE(shardingError(c, a), 1e-12) << caseName(c, 0) << " over " << axis;
    }
  }
}

std::vector<std::string_view> allDefs() {
  std::vector<std::string_view> names;
  for (const OperatorDef& def : operatorDefs()) names.push_back(def.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cpu, EveryOperator, testing::ValuesIn(allDefs()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace meshplan
