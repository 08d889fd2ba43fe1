// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/backend/kernel_harness.h"

namespace meshplan {
namespace {

constexpr int64_t kGroups = 4, kBatch = 2;

/// x[batch, 2 per group, 3, 4], w[2 per group, 3, 3, 2], bias[3 per group].
struct Operands {
  Array x, w, bias;
};

Operands whole(DType dtype) {
  return {randomArray(dtype, {kBatch, 2 * kGroups, 3, 4}, 1),
          randomArray(dtype, {2 * kGroups, 3, 3, 2}, 2), randomArray(dtype, {3 * kGroups}, 3)};
}

/// Entries [from, to) of a dimension.
Array slice(const Array& a, size_t dimension, int64_t from, int64_t to) {
  TensorType type = a.type();
  const int64_t inner = elementCount(
      Shape(type.shape.begin() + static_cast<std::ptrdiff_t>(dimension) + 1, type.shape.end()));
  const int64_t step = type.shape[dimension] * inner;
  const std::vector<double> all = a.values();
  std::vector<double> some;
  for (int64_t i = 0; i < static_cast<int64_t>(all.size()); i += step)
    some.insert(some.end(), all.begin() + i + from * inner, all.begin() + i + to * inner);
  type.shape[dimension] = to - from;
  return {type, some};
}

/// What a rank with groups [begin, end) computes: local tensors, the whole's attributes.
class LocalGroups {
 public:
  LocalGroups(const Operands& all, const Array& outputGradient, int64_t begin, int64_t end)
      : x_(slice(all.x, 1, 2 * begin, 2 * end)),
        w_(slice(all.w, 0, 2 * begin, 2 * end)),
        bias_(slice(all.bias, 0, 3 * begin, 3 * end)),
        dy_(slice(outputGradient, 1, 3 * begin, 3 * end)),
        y_(zeros(x_.type().dtype, dy_.shape())),
        dx_(zeros(x_.type().dtype, x_.shape())),
        dw_(zeros(x_.type().dtype, w_.shape())),
        dBias_(zeros(x_.type().dtype, bias_.shape())) {
    op_.def = &operatorDef("ConvTranspose");
    op_.attributes = {{"group", kGroups}, {"strides", std::vector<int64_t>{2, 1}}};
    axes_ = {{0, kBatch, kBatch}, {begin, end - begin, kGroups}};
    run({}, {}, {&x_, &w_, &bias_}, {&y_});
    run({{Slot::outputGradient, 0}, {Slot::input, 1}}, {{Slot::inputGradient, 0}}, {&dy_, &w_},
        {&dx_});
    run({{Slot::outputGradient, 0}, {Slot::input, 0}},
        {{Slot::inputGradient, 1}, {Slot::inputGradient, 2}}, {&dy_, &x_}, {&dw_, &dBias_});
  }

  const Array& y() const { return y_; }
  const Array& dx() const { return dx_; }
  const Array& dw() const { return dw_; }
  const Array& dBias() const { return dBias_; }

 private:
  void run(std::vector<Slot> in, std::vector<Slot> out, const std::vector<const Array*>& inputs,
           const std::vector<const Array*>& outputs) {
    op_.inputSlots = std::move(in);
    op_.outputSlots = std::move(out);
    std::vector<TensorView> from, to;
    for (const Array* a : inputs) from.push_back(a->view());
    for (const Array* a : outputs) to.push_back(a->view());
    KernelCall call;
    call.op = &op_;
    call.inputs = from;
    call.outputs = to;
    call.axes = axes_;
    runCpuKernel(context_, call);
  }

  CpuContext context_{2};
  Operator op_;
  std::vector<AxisRange> axes_;
  Array x_, w_, bias_, dy_, y_, dx_, dw_, dBias_;
};

void expectParts(DType dtype, double tolerance) {
  const Operands all = whole(dtype);
  const Array dy = randomArray(dtype, {kBatch, 3 * kGroups, 7, 5}, 4);
  const LocalGroups together(all, dy, 0, kGroups);
  ASSERT_GT(largestError(together.y(), zeros(dtype, together.y().shape())), 0.5);
  for (const int64_t parts : {2, 4})
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t begin = kGroups * i / parts, end = kGroups * (i + 1) / parts;
      const LocalGroups part(all, dy, begin, end);
      EXPECT_LE(largestError(part.y(), slice(together.y(), 1, 3 * begin, 3 * end)), tolerance);
      EXPECT_LE(largestError(part.dx(), slice(together.dx(), 1, 2 * begin, 2 * end)), tolerance);
      EXPECT_LE(largestError(part.dw(), slice(together.dw(), 0, 2 * begin, 2 * end)), tolerance);
      EXPECT_LE(largestError(part.dBias(), slice(together.dBias(), 0, 3 * begin, 3 * end)),
                tolerance);
    }
}

TEST(Convolution, GroupsOfATransposedOneCanBeSplitOverRanks) {
  expectParts(DType::f64, 1e-13);
  expectParts(DType::f32, 1e-5);
}

}  // namespace
}  // namespace meshplan
