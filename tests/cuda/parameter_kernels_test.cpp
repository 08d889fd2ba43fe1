// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/parameter_kernels.h"

#include <gtest/gtest.h>

#include <array>

#include "backend/cpu/optimizer_update.h"
#include "backend/cuda/cuda_transfers.h"
#include "backend/host_tensor.h"
#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

struct DTypes {
  DType weights, gradient;
  bool master;
};

class Updates : public testing::TestWithParam<std::tuple<OptimizerKind, size_t, int64_t>> {
 protected:
  static constexpr DTypes kDTypes[] = {
      {DType::f64, DType::f64, false},  {DType::f32, DType::f32, false},
      {DType::f32, DType::f32, true},   {DType::f32, DType::bf16, false},
      {DType::bf16, DType::f32, true},  {DType::bf16, DType::bf16, true},
      {DType::bf16, DType::bf16, false}};
};

/// Memory of both: what the processor and what the GPU updates.
struct Both {
  Array host;
  void* device = nullptr;
};

Both onBoth(CudaContext& context, DType type, int64_t count, uint64_t seed) {
  Both both{randomArray(type, {count}, seed), nullptr};
  // Second moments are never negative.
  std::vector<double> values = both.host.values();
  for (double& v : values) v = seed == 4 ? std::abs(v) : v;
  both.host = Array(both.host.type(), values);
  both.device = context.allocate(both.host.type().bytes().value, "a test");
  uploadBytes(context, both.device, both.host.view().data, both.host.type().bytes().value);
  return both;
}

double difference(CudaContext& context, const Both& both) {
  const Array found = zeros(both.host.type().dtype, both.host.shape());
  downloadBytes(context, found.view().data, both.device, found.type().bytes().value);
  return largestError(found, both.host);
}

TEST_P(Updates, AreThoseOfTheProcessor) {
  MESHPLAN_NEEDS_GPU();
  const auto [kind, types, count] = GetParam();
  const DTypes& d = kDTypes[types];
  CudaContext context(0, 0);
  CpuContext host(1);
  OptimizerSettings settings;
  settings.kind = kind;
  settings.weightDecay = 0.1;
  settings.step = 3;
  context.setStepValues({settings, {}});
  const DType state = d.weights == DType::f64 ? DType::f64 : DType::f32;
  const Both w = onBoth(context, d.weights, count, 1), g = onBoth(context, d.gradient, count, 2),
             m = onBoth(context, state, count, 3), v = onBoth(context, state, count, 4),
             master = onBoth(context, state, count, 5);
  const auto update = [&](auto place) {
    ParameterUpdate u;
    u.weights = place(w);
    u.weightsType = d.weights;
    u.gradient = place(g);
    u.gradientType = d.gradient;
    u.states[0] = place(m);
    u.states[1] = place(v);
    u.master = d.master ? place(master) : nullptr;
    u.count = count;
    return u;
  };
  updateParameters(host, settings, update([](const Both& b) { return b.host.view().data; }));
  updateParameters(context, update([](const Both& b) { return b.device; }));
  const double exact = state == DType::f64 ? 1e-15 : 1e-6;
  EXPECT_LE(difference(context, w), d.weights == DType::bf16 ? 8e-3 : exact);
  for (const Both* b : {&m, &v, &master}) EXPECT_LE(difference(context, *b), exact);
}

INSTANTIATE_TEST_SUITE_P(
    , Updates,
    testing::Combine(testing::Values(OptimizerKind::sgd, OptimizerKind::momentum,
                                     OptimizerKind::adam, OptimizerKind::adamw),
                     testing::Range<size_t>(0, 7), testing::Values<int64_t>(1, 4, 1003)));

TEST(Fp16Updates, TakeTheLossScaleOutOfTheGradient) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  CpuContext host(1);
  constexpr double kScale = 1024;
  constexpr int64_t kCount = 1003;
  const OptimizerSettings settings;
  for (const DType gradient : {DType::f32, DType::f16}) {
    StepValues values{settings, {}};
    values.lossScale = kScale;
    context.setStepValues(values);
    const Both g = onBoth(context, gradient, kCount, 2), m = onBoth(context, DType::f32, kCount, 3),
               v = onBoth(context, DType::f32, kCount, 4),
               master = onBoth(context, DType::f32, kCount, 5),
               w = onBoth(context, DType::f16, kCount, 1);
    std::vector<double> unscaled = g.host.values();
    for (double& x : unscaled) x /= kScale;
    const Array plain({DType::f32, {kCount}}, unscaled);
    updateParameters(host, settings,
                     {.weights = master.host.view().data,
                      .gradient = plain.view().data,
                      .states = {m.host.view().data, v.host.view().data},
                      .count = kCount});
    updateParameters(context, {.weights = w.device,
                               .weightsType = DType::f16,
                               .gradient = g.device,
                               .gradientType = gradient,
                               .states = {m.device, v.device},
                               .master = master.device,
                               .count = kCount});
    for (const Both* b : {&m, &v, &master}) EXPECT_LE(difference(context, *b), 1e-6);
    const Both rounded{Array({DType::f16, {kCount}}, master.host.values()), w.device};
    EXPECT_LE(difference(context, rounded), 1e-3);
  }
}

TEST(FindOverflow, FindsOneNumberThatIsNotFiniteAnywhere) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  for (const DType type : {DType::f32, DType::f16})
    for (const int64_t count : {1, 8, 1003})
      for (const int64_t at : {int64_t{0}, count / 2, count - 1, count})
        for (const double bad : {double{INFINITY}, -double{INFINITY}, double{NAN}}) {
          context.setStepValues({});
          std::vector<double> values(static_cast<size_t>(count), 65504);
          if (at < count) values[static_cast<size_t>(at)] = bad;
          const Array host({type, {count}}, values);
          void* device = context.allocate(host.type().bytes().value, "a test");
          uploadBytes(context, device, host.view().data, host.type().bytes().value);
          findOverflow(context, device, count, type);
          EXPECT_EQ(context.finishStep().overflowed, at < count)
              << dtypeName(type) << " " << bad << " at " << at << " of " << count;
        }
}

TEST(AddElements, AddsEveryElementOfEveryType) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  for (const DType type : {DType::f64, DType::f32, DType::bf16})
    for (const int64_t count : {1, 8, 1029}) {
      const Both sum = onBoth(context, type, count, 1), part = onBoth(context, type, count, 2);
      std::vector<double> expected = sum.host.values();
      const std::vector<double> other = part.host.values();
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += other[i];
      addElements(context, sum.device, part.device, count, type);
      const Both whole{Array(sum.host.type(), expected), sum.device};
      EXPECT_EQ(difference(context, whole), 0) << dtypeName(type) << " x " << count;
    }
}

TEST(AddToLoss, AddsSharesInTurn) {
  MESHPLAN_NEEDS_GPU();
  CudaContext context(0, 0);
  context.setStepValues({});
  const Array narrow({DType::f32, {}}, {3}), wide({DType::f64, {}}, {5});
  for (const Array* loss : {&narrow, &wide}) {
    void* at = context.allocate(8, "a loss");
    uploadBytes(context, at, loss->view().data, loss->type().bytes().value);
    addToLoss(context, {at, loss->type()}, 0.5);
  }
  EXPECT_EQ(context.finishStep().loss, 4);
}

}  // namespace
}  // namespace meshplan
