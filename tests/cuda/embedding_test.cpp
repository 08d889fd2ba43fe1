// SPDX-License-Identifier: Apache-2.0
// Tables that are read and summed by ids, with ids that repeat, lie on other ranks, or name
// nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "backend/cuda/cuda_transfers.h"
#include "backend/cuda/kernels/key_sort.h"
#include "core/error.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

Array idsBelow(int64_t count, int64_t vocabulary) {
  std::vector<double> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(i % 3 == 0 ? 1 % vocabulary : static_cast<double>((i * i * 31 + i) % vocabulary));
  return Array({DType::i64, {1, count}}, ids);
}

class Embeddings : public testing::TestWithParam<DType> {};

TEST_P(Embeddings, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  struct Sizes {
    int64_t ids, vocabulary, features;
  };
  for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{40, 6, 3}, Sizes{300, 700, 8}, Sizes{50, 70000, 24},
                         Sizes{9, 5, 300}})
    expectAgreement(gpu,
                    inType(GetParam(), {"Embedding",
                                        {},
                                        {idsBelow(s.ids, s.vocabulary),
                                         randomArray(DType::f64, {s.vocabulary, s.features}, 1)}}),
                    4, GetParam() == DType::bf16 || GetParam() == DType::f16);
}

TEST_P(Embeddings, SkipRowsOfOtherRanks) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  KernelCase c =
      inType(GetParam(), {"Embedding", {}, {idsBelow(20, 12), randomArray(DType::f64, {4, 5}, 1)}});
  c.axes = {{0, 1, 1}, {0, 20, 20}, {4, 4, 12}, {0, 5, 5}};
  expectAgreement(gpu, c, 2);
}

TEST_P(Embeddings, OfPositionsAreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const int64_t features : {1, 5, 16, 40}) {
    KernelCase c = inType(GetParam(), {"PositionEmbedding",
                                       {},
                                       {randomArray(DType::f64, {70, 6, features}, 1),
                                        randomArray(DType::f64, {9, features}, 2)}});
    expectAgreement(gpu, c, 4);
    c.axes = {{0, 70, 70}, {3, 6, 9}, {0, 9, 9}, {0, features, features}};
    expectAgreement(gpu, c, 4);
  }
}

TEST_P(Embeddings, OfDistancesAreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const int64_t bothWays : {0, 1})
    for (const int64_t keys : {1, 40, 90}) {
      Attributes attributes;
      attributes.set("bidirectional", bothWays);
      attributes.set("max_distance", int64_t{60});
      attributes.set("queries", int64_t{50});
      attributes.set("keys", keys);
      expectAgreement(
          gpu,
          inType(GetParam(), {"RelativeBias", attributes, {randomArray(DType::f64, {16, 3}, 1)}}),
          8);
    }
}

INSTANTIATE_TEST_SUITE_P(, Embeddings,
                         testing::Values(DType::f64, DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(Embedding, EndsTheStepAtAnIdOutsideTheVocabulary) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  runForward({"Embedding",
              {},
              {Array({DType::i32, {1, 3}}, {1, -6, 2}), randomArray(DType::f32, {5, 2}, 1)}},
             gpu.runner());
  try {
    gpu.context().finishStep();
    FAIL() << "an id of -6 went unnoticed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("id -6 is outside the vocabulary of 5"));
  }
}

TEST(KeySort, KeepsTheOrderOfEqualKeys) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  for (const int32_t largest : {0, 5, 255, 256, 100000})
    for (const int64_t count : {1, 256, 1000}) {
      std::vector<int32_t> keys(static_cast<size_t>(count));
      for (size_t i = 0; i < keys.size(); ++i)
        keys[i] = static_cast<int32_t>((i * 7907 + i * i) % (static_cast<size_t>(largest) + 1));
      const int64_t bytes = count * 4;
      auto* there = static_cast<int32_t*>(context.allocate(bytes, "a test"));
      uploadBytes(context, there, keys.data(), bytes);
      const auto sorted = device::sortKeys(context, there, count, largest,
                                           context.allocate(device::sortBytes(count), "a test"));
      std::vector<int32_t> places(keys.size()), found(keys.size()), order(keys.size());
      downloadBytes(context, places.data(), sorted.places, bytes);
      downloadBytes(context, found.data(), sorted.keys, bytes);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return keys[static_cast<size_t>(a)] < keys[static_cast<size_t>(b)];
      });
      EXPECT_EQ(places, order) << largest << " " << count;
      std::sort(keys.begin(), keys.end());
      EXPECT_EQ(found, keys) << largest << " " << count;
    }
}

}  // namespace
}  // namespace meshplan
