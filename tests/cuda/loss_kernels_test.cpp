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

/// logits[kRows, kRanks * kColumns] in parts, with all ranks on one GPU.
class SplitLoss {
 public:
  static constexpr int64_t kRanks = 3, kColumns = 10, kRows = 9;

  SplitLoss(CudaContext& context, const KernelCase& whole) : context_(context) {
    forward_.def = gradient_.def = &operatorDef("CrossEntropy");
    gradient_.inputSlots = {{Slot::input, 0}, {Slot::input, 1}};
    gradient_.outputSlots = {{Slot::inputGradient, 0}};
    labels_ = upload(whole.inputs[1]);
    for (int64_t rank = 0; rank < kRanks; ++rank)
      logits_.push_back(upload(columnsOf(whole.inputs[0], rank)));
    const bool wide = logits_[0].type.dtype == DType::f64;
    statistics_ = upload(zeros(wide ? DType::f64 : DType::f32, {kRanks, kRows, 3}));
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      TensorView own = statistics_;
      own.type.shape = {1, kRows, 3};
      own.data = statistics_.as<char>() + rank * own.type.bytes().value;
      with(rank, forward_, {},
           [&](const KernelCall& call) { crossEntropyStatistics(context_, call, own); });
    }
  }

  static Array columnsOf(const Array& whole, int64_t rank) {
    const std::vector<double> all = whole.values();
    std::vector<double> part;
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t v = 0; v < kColumns; ++v)
        part.push_back(all[static_cast<size_t>((r * kRanks + rank) * kColumns + v)]);
    return Array({whole.type().dtype, {kRows, kColumns}}, part);
  }
  double loss() {
    const TensorView loss = upload(zeros(DType::f32, {}));
    with(0, forward_, loss,
         [&](const KernelCall& call) { crossEntropyLoss(context_, call, statistics_); });
    return download(loss).values()[0];
  }
  Array gradient(int64_t rank) {
    const TensorView dx = upload(zeros(logits_[0].type.dtype, {kRows, kColumns}));
    with(rank, gradient_, dx,
         [&](const KernelCall& call) { crossEntropyGradient(context_, call, statistics_); });
    return download(dx);
  }

 private:
  template <class F>
  void with(int64_t rank, const Operator& op, const TensorView& output, F run) {
    const TensorView inputs[] = {logits_[static_cast<size_t>(rank)], labels_};
    const AxisRange axes[] = {{0, kRows, kRows}, {rank * kColumns, kColumns, kRanks * kColumns}};
    KernelCall call;
    call.op = &op;
    call.inputs = inputs;
    call.outputs = std::span(&output, 1);
    call.axes = axes;
    run(call);
  }
  TensorView upload(const Array& a) {
    const int64_t bytes = a.type().bytes().value;
    TensorView view{context_.allocate(bytes, "a test"), a.type()};
    uploadBytes(context_, view.data, a.view().data, bytes);
    return view;
  }
  Array download(const TensorView& view) {
    Array result = zeros(view.type.dtype, view.type.shape);
    downloadBytes(context_, result.view().data, view.data, view.type.bytes().value);
    return result;
  }

  CudaContext& context_;
  Operator forward_, gradient_;
  std::vector<TensorView> logits_;
  TensorView labels_, statistics_;
};

TEST_P(CrossEntropies, AgreeWhenTheVocabularyIsSplit) {
  MESHPLAN_NEEDS_GPU();
  constexpr int64_t kVocabulary = SplitLoss::kRanks * SplitLoss::kColumns;
  const KernelCase c{"CrossEntropy",
                     {},
                     {logitsOf(GetParam(), SplitLoss::kRows, kVocabulary),
                      labelsFor(SplitLoss::kRows, kVocabulary)}};
  GpuRunner gpu;
  const std::vector<Array> whole = runForward(c, gpu.runner());
  const auto gradients = runBackward(c, whole, {}, nullptr, {}, gpu.runner());
  SplitLoss split(gpu.context(), c);
  const double most = GetParam() == DType::f64 ? 1e-12 : GetParam() == DType::f32 ? 1e-6 : 1e-3;
  EXPECT_NEAR(split.loss(), whole[0].values()[0], 1e-5);
  for (int64_t rank = 0; rank < SplitLoss::kRanks; ++rank)
    EXPECT_LE(largestError(split.gradient(rank), SplitLoss::columnsOf(*gradients[0], rank)), most)
        << rank;
  EXPECT_TRUE(gpu.onHost().empty());
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
  EXPECT_EQ(gpu.context().finishStep().loss, 0);
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
