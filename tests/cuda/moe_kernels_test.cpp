// SPDX-License-Identifier: Apache-2.0
// Routing to experts: more experts than a warp has lanes, experts with too few slots, equal logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

/// Far from equal where choices must not depend on rounding.
Array logitsOf(int64_t samples, int64_t tokens, int64_t experts) {
  std::vector<double> values;
  for (int64_t i = 0; i < samples * tokens * experts; ++i)
    values.push_back(static_cast<double>(i * 7919 % 127) / 16 - 4);
  return Array({DType::f64, {samples, tokens, experts}}, values);
}

Array choicesOf(int64_t samples, int64_t tokens, int64_t k, int64_t experts) {
  std::vector<double> values;
  for (int64_t i = 0; i < samples * tokens * k; ++i)
    values.push_back(static_cast<double>((i * i + i / 3) % experts));
  return Array({DType::i64, {samples, tokens, k}}, values);
}

class Experts : public testing::TestWithParam<DType> {};

TEST_P(Experts, AreChosenAsOnTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  struct Sizes {
    int64_t tokens, experts, k;
  };
  for (const Sizes& s : {Sizes{5, 2, 1}, Sizes{9, 8, 2}, Sizes{20, 100, 8}, Sizes{3, 33, 33}}) {
    Attributes attributes;
    attributes.set("k", s.k);
    KernelCase c{"TopKRouter", attributes, {logitsOf(2, s.tokens, s.experts)}};
    expectAgreement(gpu, inType(GetParam(), c), 2);
    c.inputs.push_back(
        Array({DType::f64, {s.experts}}, std::vector<double>(static_cast<size_t>(s.experts), .25)));
    c.attributes.set("corrected", int64_t{1});
    expectAgreement(gpu, inType(GetParam(), c), 2);
  }
}

TEST_P(Experts, GetTheirTokensAndGiveThemBack) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  struct Sizes {
    int64_t samples, tokens, k, experts, h;
  };
  for (const Sizes& s : {Sizes{2, 6, 2, 4, 8}, Sizes{1, 300, 2, 60, 16}, Sizes{3, 7, 1, 7, 3},
                         Sizes{2, 40, 4, 8, 33}}) {
    const Array choices = choicesOf(s.samples, s.tokens, s.k, s.experts);
    const int64_t slots = s.samples * s.tokens * s.k / s.experts;
    Attributes attributes;
    attributes.set("experts", s.experts);
    expectAgreement(
        gpu,
        inType(GetParam(), {"Dispatch",
                            attributes,
                            {randomArray(DType::f64, {s.samples, s.tokens, s.h}, 1), choices}}),
        2);
    expectAgreement(
        gpu,
        inType(GetParam(), {"Combine",
                            {},
                            {randomArray(DType::f64, {s.experts, slots, s.h}, 1),
                             randomArray(DType::f64, {s.samples, s.tokens, s.k}, 2), choices}}),
        4);
  }
}

INSTANTIATE_TEST_SUITE_P(, Experts,
                         testing::Values(DType::f64, DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(Dispatch, EndsTheStepAtAnExpertThatDoesNotExist) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  Attributes attributes;
  attributes.set("experts", int64_t{2});
  runForward(
      {"Dispatch",
       attributes,
       {randomArray(DType::f32, {1, 4, 2}, 1), Array({DType::i64, {1, 4, 1}}, {0, 1, 2, 0})}},
      gpu.runner());
  try {
    gpu.context().finishStep();
    FAIL() << "expert 2 went unnoticed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("expert 2 is none of the 2"));
  }
}

}  // namespace
}  // namespace meshplan
