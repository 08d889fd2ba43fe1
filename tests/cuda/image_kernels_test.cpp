// SPDX-License-Identifier: Apache-2.0
// Normalisations of channels and poolings, over planes of every size.
#include <gtest/gtest.h>

#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/cuda_transfers.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_agreement.h"

namespace meshplan {
namespace {

class ImageKernels : public testing::TestWithParam<DType> {
 protected:
  Array random(const Shape& shape, uint64_t seed) const {
    return Array({GetParam(), shape}, randomArray(DType::f64, shape, seed).values());
  }
  /// Distinct numbers, for what asks which is the largest.
  Array distinct(const Shape& shape) const {
    const int64_t count = elementCount(shape);
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<double>(i * 7919 % 251) / 32 - 4);
    return Array({GetParam(), shape}, values);
  }
  bool narrow() const { return GetParam() == DType::bf16 || GetParam() == DType::f16; }
  GpuRunner gpu_;
};

TEST_P(ImageKernels, NormaliseChannels) {
  MESHPLAN_NEEDS_GPU();
  const std::vector<Shape> shapes = {
      {40, 3}, {2, 5, 7, 7}, {3, 4, 16, 8}, {2, 2, 50, 50}, {2, 3, 9, 240}};
  for (const Shape& shape : shapes)
    for (const std::string_view def : {"BatchNormalization", "InstanceNormalization"}) {
      if (shape.size() == 2 && def != "BatchNormalization") continue;
      expectAgreement(gpu_,
                      {def, {}, {random(shape, 1), random({shape[1]}, 2), random({shape[1]}, 3)}},
                      8, narrow());
    }
}

TEST_P(ImageKernels, NormaliseGroups) {
  MESHPLAN_NEEDS_GPU();
  Attributes attributes;
  attributes.set("group_size", int64_t{3});
  expectAgreement(gpu_,
                  {"GroupNormalization",
                   attributes,
                   {random({2, 6, 10, 4}, 1), random({6}, 2), random({6}, 3)}},
                  8, narrow());
}

TEST_P(ImageKernels, PoolPlanes) {
  MESHPLAN_NEEDS_GPU();
  struct Window {
    std::vector<int64_t> kernel, strides, pads, dilations;
    Shape x;
  };
  const Window windows[] = {{{3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, {2, 3, 15, 14}},
                            {{2, 2}, {2, 2}, {0, 0, 0, 0}, {1, 1}, {1, 2, 28, 28}},
                            {{3}, {1}, {2, 0}, {2}, {2, 2, 40}},
                            {{2, 1, 3}, {1, 2, 1}, {0, 0, 0, 1, 0, 2}, {1, 1, 2}, {1, 2, 5, 6, 9}}};
  for (const Window& w : windows)
    for (const std::string_view def : {"MaxPool", "AveragePool"})
      for (const int64_t padding : {0, 1}) {
        if (def == "MaxPool" && padding == 1) continue;
        Attributes attributes;
        attributes.set("kernel_shape", w.kernel);
        attributes.set("strides", w.strides);
        attributes.set("pads", w.pads);
        attributes.set("dilations", w.dilations);
        attributes.set("count_include_pad", padding);
        expectAgreement(gpu_, {def, attributes, {distinct(w.x)}}, 2);
      }
}

TEST_P(ImageKernels, AverageWholePlanes) {
  MESHPLAN_NEEDS_GPU();
  for (const Shape& shape : std::vector<Shape>{{3, 5, 7, 7}, {2, 40, 1, 1}, {1, 2, 33, 40}}) {
    const KernelCase c{"GlobalAveragePool", {}, {random(shape, 1)}};
    expectAgreement(gpu_, c);
  }
}

INSTANTIATE_TEST_SUITE_P(, ImageKernels,
                         testing::Values(DType::f64, DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(dtypeName(info.param)); });

/// A batch normalisation with tensors that stay on the GPU.
struct RunningNorm {
  CudaContext context{0, 0};
  Operator op;
  std::vector<TensorView> inputs;
  TensorView y;
  Shape shape{6, 3, 4, 5};

  RunningNorm() {
    op.def = &operatorDef("BatchNormalization");
    for (const Array& a :
         {randomArray(DType::f32, shape, 1), randomArray(DType::f32, {3}, 2),
          randomArray(DType::f32, {3}, 3), zeros(DType::f32, {3}), zeros(DType::f32, {3})})
      inputs.push_back(upload(a));
    y = upload(zeros(DType::f32, shape));
  }
  TensorView upload(const Array& a) {
    const int64_t bytes = a.type().bytes().value;
    TensorView view{context.allocate(bytes, "a test"), a.type()};
    uploadBytes(context, view.data, a.view().data, bytes);
    return view;
  }
  std::vector<double> download(const TensorView& view) {
    const Array a = zeros(view.type.dtype, view.type.shape);
    downloadBytes(context, a.view().data, view.data, view.type.bytes().value);
    return a.values();
  }
  void run(bool training) {
    KernelCall call;
    call.op = &op;
    call.inputs = inputs;
    call.outputs = std::span(&y, 1);
    call.training = training;
    runCudaKernel(context, call);
  }
};

TEST(BatchNormalizationOnTheGpu, MovesRunningStatisticsAndReadsThemInEvaluation) {
  MESHPLAN_NEEDS_GPU();
  RunningNorm norm;
  for (int step = 0; step < 200; ++step) norm.run(true);
  const std::vector<double> trained = norm.download(norm.y), x = norm.download(norm.inputs[0]);
  double mean = 0, squares = 0;
  for (size_t sample = 0; sample < 6; ++sample)
    for (size_t i = 0; i < 20; ++i) {
      const double v = x[sample * 60 + i];
      mean += v / 120;
      squares += v * v;
    }
  EXPECT_NEAR(norm.download(norm.inputs[3])[0], mean, 1e-5);
  EXPECT_NEAR(norm.download(norm.inputs[4])[0], (squares - 120 * mean * mean) / 119, 1e-5);
  norm.run(false);
  EXPECT_LE(largestError(norm.download(norm.y), trained), 1e-2);  // they differ by 119 / 120
  EXPECT_TRUE(norm.context.onHost().empty());
}

}  // namespace
}  // namespace meshplan
