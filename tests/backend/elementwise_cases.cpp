// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

struct Unary {
  std::string_view def;
  double low, high;
  std::initializer_list<double> kinks;
  Attributes attributes;
};

std::vector<Unary> unaries() {
  return {{"Relu", -1, 1, {0}, {}},
          {"Sigmoid", -3, 3, {}, {}},
          {"Tanh", -3, 3, {}, {}},
          {"Exp", -2, 2, {}, {}},
          {"Sqrt", 0.2, 3, {}, {}},
          {"Reciprocal", 0.3, 2, {}, {}},
          {"Elu", -2, 2, {0}, {}},
          {"Elu", -2, 2, {0}, {{"alpha", 0.7}}},
          {"Tan", -1, 1, {}, {}},
          {"Gelu", -3, 3, {}, {}},
          {"Gelu", -3, 3, {}, {{"approximate", std::string("tanh")}}},
          {"QuickGelu", -3, 3, {}, {}},
          {"Silu", -3, 3, {}, {}},
          {"Swish", -3, 3, {}, {{"alpha", 1.3}}},
          {"Mish", -3, 3, {}, {}},
          {"Erf", -2, 2, {}, {}},
          {"Log", 0.2, 3, {}, {}},
          {"Abs", -1, 1, {0}, {}},
          {"Clip", -2, 2, {-0.5, 1}, {{"min", -0.5}, {"max", 1.}}},
          {"Clip", -2, 2, {}, {}},
          {"LeakyRelu", -1, 1, {0}, {}},
          {"LeakyRelu", -1, 1, {0}, {{"alpha", 0.2}}},
          {"ThresholdedRelu", -1, 2, {1}, {}},
          {"ThresholdedRelu", -1, 2, {0.5}, {{"alpha", 0.5}}},
          {"Celu", -2, 2, {0}, {{"alpha", 1.5}}},
          {"Selu", -2, 2, {0}, {}},
          {"HardSigmoid", -4, 4, {-2.5, 2.5}, {}},
          {"HardSigmoid", -4, 4, {-3, 3}, {{"alpha", 1 / 6.}, {"beta", 0.5}}},
          {"HardSwish", -4, 4, {-3, 3}, {}},
          {"Softplus", -3, 3, {}, {}},
          {"Softsign", -2, 2, {0}, {}},
          {"Shrink", -2, 2, {-0.5, 0.5}, {{"bias", 0.3}}},
          {"Shrink", -2, 2, {-1.5, 1.5}, {{"lambd", 1.5}, {"bias", 1.5}}},
          {"Sin", -3, 3, {}, {}},
          {"Cos", -3, 3, {}, {}},
          {"Sinh", -2, 2, {}, {}},
          {"Cosh", -2, 2, {}, {}},
          {"Asin", -0.8, 0.8, {}, {}},
          {"Acos", -0.8, 0.8, {}, {}},
          {"Atan", -2, 2, {}, {}},
          {"Asinh", -2, 2, {}, {}},
          {"Acosh", 1.3, 3, {}, {}},
          {"Atanh", -0.8, 0.8, {}, {}},
          {"Neg", -1, 1, {}, {}},
          {"Identity", -1, 1, {}, {}},
          {"Scale", -1, 1, {}, {{"factor", -1.7}}},
          {"Cast", -1, 1, {}, {{"to", std::string("fp64")}}}};
}

void addBinary(std::vector<KernelCase>& cases, std::string_view def) {
  const std::pair<Shape, Shape> shapes[] = {{{2, 3}, {2, 3}},    {{4, 3}, {3}},       {{3}, {2, 1}},
                                            {{2, 3, 4}, {3, 1}}, {{2, 1, 4}, {3, 1}}, {{2, 2}, {}}};
  uint64_t seed = 0;
  for (const auto& [a, b] : shapes) {
    seed += 2;
    const bool positive = def == "Pow";
    cases.push_back({def,
                     {},
                     {positive ? valuesIn(a, seed, 0.4, 2) : anyValues(a, seed),
                      valuesIn(b, seed + 1, 0.5, 2)}});
  }
}

/// Operands without values near each other.
std::vector<Array> apart(const std::vector<Shape>& shapes) {
  std::vector<Array> arrays;
  for (size_t i = 0; i < shapes.size(); ++i) {
    std::vector<double> values = distinctValues(shapes[i], i + 5).values();
    for (double& v : values) v += 0.011 * static_cast<double>(i);
    arrays.push_back({{DType::f64, shapes[i]}, values});
  }
  return arrays;
}

Array truths(const Shape& shape, uint64_t seed) {
  return wholeNumbersBelow(2, shape, seed, DType::boolean);
}

}  // namespace

std::vector<KernelCase> elementwiseCases() {
  std::vector<KernelCase> cases;
  for (const Unary& u : unaries())
    for (const Shape& shape : {Shape{5}, Shape{2, 4, 6}, Shape{}})
      cases.push_back({u.def, u.attributes, {valuesIn(shape, 3, u.low, u.high, u.kinks)}});
  for (std::string_view def : {"Add", "Sub", "Mul", "Div", "Pow"}) addBinary(cases, def);
  for (std::string_view def : {"Sum", "Mean", "Max", "Min"}) {
    cases.push_back({def, {}, apart({{2, 3}})});
    cases.push_back({def, {}, apart({{2, 4}, {2, 4}})});
    cases.push_back({def, {}, apart({{2, 4}, {4}, {2, 1}})});
    cases.push_back({def, {}, apart({{2, 1, 4}, {3, 1}, {}, {1, 4}})});
  }
  cases.push_back({"Where", {}, {truths({2, 4}, 1), anyValues({2, 4}, 2), anyValues({2, 4}, 3)}});
  cases.push_back({"Where", {}, {truths({4}, 4), anyValues({2, 4}, 5), anyValues({2, 1}, 6)}});
  cases.push_back({"Where", {}, {truths({2, 2, 1}, 4), anyValues({}, 5), anyValues({3}, 6)}});
  cases.push_back({"PRelu", {}, {valuesIn({2, 4}, 1, -1, 1, {0}), anyValues({4}, 2)}});
  cases.push_back({"PRelu", {}, {valuesIn({2, 4, 3}, 3, -1, 1, {0}), anyValues({4, 1}, 4)}});
  KernelCase dropout{"Dropout", {{"ratio", 0.4}}, {anyValues({2, 6, 4}, 7)}};
  dropout.seed = 11;
  cases.push_back(dropout);
  dropout.training = false;
  cases.push_back(dropout);
  for (std::string_view def : {"SwiGLU", "GeGLU"})
    for (const Shape& shape : {Shape{6}, Shape{2, 4, 8}})
      cases.push_back({def, {}, {valuesIn(shape, 9, -3, 3)}});
  cases.push_back({"GeGLU", {{"approximate", std::string("tanh")}}, {valuesIn({2, 8}, 2, -3, 3)}});
  cases.push_back({"Rotary", {}, {anyValues({2, 2, 4, 6}, 1)}});
  cases.push_back({"Rotary", {{"rotary_dim", int64_t{4}}}, {anyValues({2, 2, 4, 6}, 2)}});
  cases.push_back(
      {"Rotary", {{"interleaved", int64_t{1}}, {"base", 500.}}, {anyValues({1, 2, 4, 8}, 3)}});
  return cases;
}

}  // namespace meshplan
