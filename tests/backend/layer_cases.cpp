// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

void addReductions(std::vector<KernelCase>& cases) {
  const Attributes settings[] = {{},
                                 {{"axes", Ints{1}}},
                                 {{"axes", Ints{-1}}, {"keepdims", int64_t{0}}},
                                 {{"axes", Ints{0, 2}}, {"keepdims", int64_t{0}}}};
  for (std::string_view def :
       {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
        "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"})
    for (const Attributes& a : settings) {
      const bool logarithm = def == "ReduceLogSum", product = def == "ReduceProd";
      const bool extreme = def == "ReduceMax" || def == "ReduceMin" || def == "ReduceL1";
      const Shape shape{2, 4, 6};
      cases.push_back({def,
                       a,
                       {logarithm || product ? valuesIn(shape, 3, 0.8, 1.4)
                        : extreme            ? distinctValues(shape, 4)
                                             : anyValues(shape, 5)}});
    }
  cases.push_back({"TopK", {{"k", int64_t{2}}}, {distinctValues({2, 5}, 1)}});
  cases.push_back({"TopK",
                   {{"k", int64_t{3}}, {"axis", int64_t{0}}, {"largest", int64_t{0}}},
                   {distinctValues({5, 2}, 1)}});
  for (const int64_t exclusive : {0, 1})
    for (const int64_t reverse : {0, 1})
      cases.push_back({"CumSum",
                       {{"axis", int64_t{1}}, {"exclusive", exclusive}, {"reverse", reverse}},
                       {anyValues({2, 4, 2}, 2)}});
}

void addEmbeddings(std::vector<KernelCase>& cases) {
  cases.push_back({"Embedding", {}, {wholeNumbersBelow(6, {2, 4}, 1), anyValues({6, 4}, 2)}});
  cases.push_back({"Embedding", {}, {wholeNumbers({4}, {5, 0, 5, 5}), anyValues({6, 2}, 2)}});
  cases.push_back({"PositionEmbedding", {}, {anyValues({2, 4, 6}, 1), anyValues({5, 6}, 2)}});
  cases.push_back({"PositionEmbedding", {}, {anyValues({4, 2}, 1), anyValues({4, 2}, 2)}});
  for (const int64_t both : {0, 1})
    cases.push_back({"RelativeBias",
                     {{"queries", int64_t{5}},
                      {"keys", int64_t{7}},
                      {"bidirectional", both},
                      {"max_distance", int64_t{6}}},
                     {anyValues({8, 2}, 3)}});
}

void addLosses(std::vector<KernelCase>& cases) {
  cases.push_back({"CrossEntropy", {}, {anyValues({4, 6}, 1), wholeNumbersBelow(6, {4}, 2)}});
  cases.push_back(
      {"CrossEntropy", {}, {valuesIn({2, 4, 6}, 1, -30, 30), wholeNumbersBelow(6, {2, 4}, 3)}});
  cases.push_back({"CrossEntropy", {}, {anyValues({5}, 1), wholeNumbers({}, {3})}});
  cases.push_back({"MeanSquaredError", {}, {anyValues({2, 4, 3}, 1), anyValues({2, 4, 3}, 2)}});
}

void addExperts(std::vector<KernelCase>& cases) {
  const Attributes choices{{"k", int64_t{2}}};
  cases.push_back({"TopKRouter", choices, {distinctValues({2, 4, 4}, 1)}});
  cases.push_back({"TopKRouter", choices, {distinctValues({2, 4, 4}, 2), anyValues({4}, 3)}});
  const Array indices = wholeNumbersBelow(4, {2, 4, 2}, 4),
              uneven = wholeNumbersBelow(3, {2, 2, 1}, 5);
  cases.push_back({"Dispatch", {{"experts", int64_t{4}}}, {anyValues({2, 4, 2}, 5), indices}});
  cases.push_back({"Dispatch", {{"experts", int64_t{3}}}, {anyValues({2, 2, 3}, 5), uneven}});
  cases.push_back({"Combine", {}, {anyValues({4, 4, 2}, 6), anyValues({2, 4, 2}, 7), indices}});
  cases.push_back({"Combine", {}, {anyValues({3, 2, 3}, 6), anyValues({2, 2, 1}, 7), uneven}});
  cases.push_back({"ExpertLinear", {}, {anyValues({2, 4, 3}, 1), anyValues({2, 3, 4}, 2)}});
  cases.push_back({"ExpertLinear",
                   {},
                   {anyValues({2, 4, 3}, 1), anyValues({2, 3, 4}, 2), anyValues({2, 4}, 3)}});
}

void addProducts(std::vector<KernelCase>& cases) {
  const Array x = anyValues({2, 4, 6}, 1);
  cases.push_back({"Linear", {}, {x, anyValues({6, 4}, 2)}});
  cases.push_back({"Linear", {}, {x, anyValues({6, 4}, 2), anyValues({4}, 3)}});
  cases.push_back({"Linear", {{"transposed", int64_t{1}}}, {x, anyValues({4, 6}, 2)}});
  cases.push_back({"MatMul", {}, {x, anyValues({2, 6, 4}, 2)}});
  cases.push_back({"MatMul", {}, {x, anyValues({6, 4}, 2)}});
  cases.push_back({"MatMul", {}, {anyValues({6}, 1), anyValues({2, 6, 4}, 2)}});
  cases.push_back({"Gemm", {}, {anyValues({4, 6}, 1), anyValues({6, 2}, 2)}});
  cases.push_back({"Gemm",
                   {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5}, {"beta", 2.}},
                   {anyValues({6, 4}, 1), anyValues({2, 6}, 2), anyValues({2}, 3)}});
  cases.push_back({"Einsum",
                   {{"equation", std::string("bij,bjk->bik")}},
                   {anyValues({2, 4, 2}, 1), anyValues({2, 2, 4}, 2)}});
  cases.push_back({"Einsum",
                   {{"equation", std::string("ij,kj->ki")}},
                   {anyValues({4, 2}, 1), anyValues({2, 2}, 2)}});
}

void addAttention(std::vector<KernelCase>& cases) {
  const Array q = anyValues({2, 4, 4, 4}, 1), k = anyValues({2, 2, 4, 4}, 2);
  const Array v = anyValues({2, 2, 4, 6}, 3);
  for (const char* kind : {"flash", "math", "fused-softmax"})
    for (const int64_t causal : {0, 1})
      cases.push_back(
          {"Attention", {{"causal", causal}, {"implementation", std::string(kind)}}, {q, k, v}});
}

void addNormalizations(std::vector<KernelCase>& cases) {
  const Array x = anyValues({2, 4, 6}, 1), image = anyValues({4, 4, 2, 3}, 2);
  const Array gain = anyValues({6}, 3), shift = anyValues({6}, 4);
  const Array scale = anyValues({4}, 5), bias = anyValues({4}, 6);
  cases.push_back({"LayerNormalization", {}, {x, gain}});
  cases.push_back({"LayerNormalization", {}, {x, gain, shift}});
  cases.push_back({"RMSNormalization", {}, {x, gain}});
  cases.push_back({"BatchNormalization", {}, {image, scale, bias}});
  cases.push_back({"InstanceNormalization", {}, {image, scale, bias}});
  cases.push_back({"GroupNormalization", {{"group_size", int64_t{2}}}, {image, scale, bias}});
  cases.push_back({"LRN", {{"size", int64_t{3}}, {"alpha", 0.5}}, {image}});
  cases.push_back({"LpNormalization", {{"axis", int64_t{1}}}, {x}});
  cases.push_back({"LpNormalization", {{"p", int64_t{1}}}, {distinctValues({2, 4}, 8)}});
  cases.push_back({"MeanVarianceNormalization", {}, {image}});
  for (std::string_view def : {"Softmax", "LogSoftmax"}) {
    cases.push_back({def, {}, {x}});
    cases.push_back({def, {{"axis", int64_t{1}}}, {x}});
    cases.push_back({def, {{"axis", int64_t{1}}, {"coerced", int64_t{1}}}, {x}});
  }
}

}  // namespace

std::vector<KernelCase> layerCases() {
  std::vector<KernelCase> cases;
  addReductions(cases);
  addEmbeddings(cases);
  addLosses(cases);
  addExperts(cases);
  addProducts(cases);
  addAttention(cases);
  addNormalizations(cases);
  return cases;
}

}  // namespace meshplan
