// SPDX-License-Identifier: Apache-2.0
// Losses over vocabularies of every length, whole and split over ranks, and labels that name none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/cross_entropy.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/cuda_transfers.h"
#include "backend/cuda/split_loss_kernels.h"
#include "core/error.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

Array labelsFor(int64_t rows, int64_t vocabulary, DType type = DType::i64) {
  std::vector<double> labels;
  for (int64_t r = 0; r < rows; ++r)
    labels.push_back(static_cast<double>((r * 7919 + 5) % vocabulary));
  return Array({type, {rows}}, labels);
}

Array logitsOf(DType type, int64_t rows, int64_t vocabulary) {
  std::vector<double> x = randomArray(DType::f64, {rows, vocabulary}, 3).values();
  for (double& v : x) v *= 8;
  return Array({type, {rows, vocabulary}}, x);
}

class CrossEntropies : public testing::TestWithParam<DType> {};

TEST_P(CrossEntropies, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  struct Sizes {
    int64_t rows, vocabulary;
  };
  for (const Sizes& s :
       {Sizes{1, 1}, Sizes{5, 10}, Sizes{33, 100}, Sizes{3, 5027}, Sizes{2, 20000}})
    for (const DType labels : {DType::i64, DType::i32})
      expectAgreement(gpu, {"CrossEntropy",
                            {},
                            {logitsOf(GetParam(), s.rows, s.vocabulary),
                             labelsFor(s.rows, s.vocabulary, labels)}});
}

TEST_P(CrossEntropies, AgreeWhenTheVocabularyIsSplit) {
  MESHPLAN_NEEDS_GPU();
  const KernelCase c{"CrossEntropy", {}, {logitsOf(GetParam(), 9, 30), labelsFor(9, 30)}};
  GpuRunner gpu;
  const double whole = runForward(c, gpu.runner())[0].values()[0];
  Operator op;
  op.def = &operatorDef("CrossEntropy");
  op.name = "loss";
  constexpr int64_t kRanks = 3, kColumns = 10, kRows = 9;
  const DType wide = GetParam() == DType::f64 ? DType::f64 : DType::f32;
  CudaContext& context = gpu.context();
  const Array statistics = zeros(wide, {kRanks, kRows, 3});
  const TensorView all{context.allocate(statistics.type().bytes().value, "a test"),
                       statistics.type()};
  const auto upload = [&](const Array& a) {
    TensorView view{context.allocate(a.type().bytes().value, "a test"), a.type()};
    uploadBytes(context, view.data, a.view().data, a.type().bytes().value);
    return view;
  };
  const TensorView labels = upload(c.inputs[1]);
  const TensorView loss = upload(zeros(DType::f32, {}));
  const std::vector<double> logits = c.inputs[0].values();
  for (int64_t rank = 0; rank < kRanks; ++rank) {
    std::vector<double> part;
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t v = 0; v < kColumns; ++v)
        part.push_back(logits[static_cast<size_t>(r * 30 + rank * kColumns + v)]);
    const TensorView inputs[] = {upload(Array({GetParam(), {kRows, kColumns}}, part)), labels};
    const AxisRange axes[] = {{0, kRows, kRows}, {rank * kColumns, kColumns, 30}};
    KernelCall call;
    call.op = &op;
    call.inputs = inputs;
    call.axes = axes;
    TensorView own = all;
    own.type.shape = {1, kRows, 3};
    own.data = all.as<char>() + rank * own.type.bytes().value;
    crossEntropyStatistics(context, call, own);
    if (rank + 1 < kRanks) continue;
    call.outputs = std::span(&loss, 1);
    crossEntropyLoss(context, call, all);
  }
  Array result = zeros(DType::f32, {});
  downloadBytes(context, result.view().data, loss.data, 4);
  EXPECT_NEAR(result.values()[0], whole, 1e-5);
  EXPECT_TRUE(context.onHost().empty());
}

INSTANTIATE_TEST_SUITE_P(, CrossEntropies,
                         testing::Values(DType::f64, DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

TEST(CrossEntropy, EndsTheStepAtALabelOutsideTheVocabulary) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const double label : {10., -1.}) {
    runForward({"CrossEntropy",
                {},
                {randomArray(DType::f32, {3, 10}, 1), Array({DType::i64, {3}}, {1, label, 2})}},
               gpu.runner());
    try {
      gpu.context().finishStep();
      FAIL() << "a label of " << label << " went unnoticed";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("is outside the vocabulary of 10"));
    }
  }
  gpu.context().setStepValues({});
  EXPECT_EQ(gpu.context().finishStep(), 0);
}

TEST(CrossEntropy, IsNaNWhereALogitIs) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  std::vector<double> logits = randomArray(DType::f32, {3, 10}, 1).values();
  logits[14] = std::nan("");
  const KernelCase c{"CrossEntropy", {}, {Array({DType::f32, {3, 10}}, logits), labelsFor(3, 10)}};
  EXPECT_TRUE(std::isnan(runForward(c, gpu.runner())[0].values()[0]));
}

TEST(MeanSquaredError, OfManyElementsIsThatOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  GpuRunner gpu;
  for (const DType type : {DType::f64, DType::f32, DType::bf16, DType::f16})
    for (const int64_t n : {1, 9, 40007})
      expectAgreement(
          gpu, inType(type, {"MeanSquaredError",
                             {},
                             {randomArray(DType::f64, {n}, 1), randomArray(DType::f64, {n}, 2)}}));
}

}  // namespace
}  // namespace meshplan
