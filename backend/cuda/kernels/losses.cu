// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/loss.cpp. Bound by bandwidth.
#include "backend/cpu/axis_ranges.h"
#include "backend/cuda/kernels/loss_kernels.h"
#include "backend/cuda/kernels/rows.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kPack;

/// Every block's part of the sum, in fp64.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    squaresKernel(const T* x, const T* target, int64_t count, double* sums) {
  const int64_t begin = count / kPack<T> * blockIdx.x / gridDim.x * kPack<T>;
  const int64_t end = blockIdx.x + 1 == gridDim.x
                          ? count
                          : count / kPack<T> * (blockIdx.x + 1) / gridDim.x * kPack<T>;
  double sum = 0;
  device::forRow(x + begin, end - begin, [&](int64_t at, auto width) {
    constexpr int kWidth = decltype(width)::value;
    const auto p = device::load<T, kWidth>(x + begin + at);
    const auto q = device::load<T, kWidth>(target + begin + at);
    for (int k = 0; k < kWidth; ++k) {
      const double difference = static_cast<double>(p.at[k]) - static_cast<double>(q.at[k]);
      sum += difference * difference;
    }
  });
  sum = device::blockSum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreadsPerBlock)
    meanKernel(const double* sums, int64_t count, double divisor, device::LossTarget loss) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = device::blockSum(sum);
  if (threadIdx.x == 0) loss.set(sum / divisor);
}

double wholeElements(const KernelCall& call, const Shape& shape) {
  double elements = 1;
  for (size_t d = 0; d < shape.size(); ++d)
    elements *= static_cast<double>(rangeOf(call, d, shape[d]).whole);
  return elements;
}

void squaredError(CudaContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  const int64_t count = x.type.elements();
  const int64_t blocks = std::clamp<int64_t>(count / (kThreadsPerBlock * 16), 1,
                                             int64_t{context.multiprocessors()} * 8);
  auto* sums = static_cast<double*>(context.scratch(blocks * static_cast<int64_t>(sizeof(double))));
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    launch(context, blocks, kThreadsPerBlock, 0, squaresKernel<T>, x.as<T>(),
           call.inputs[1].as<T>(), count, sums);
  });
  launch(context, 1, kThreadsPerBlock, 0, meanKernel, sums, blocks,
         wholeElements(call, x.type.shape), device::lossTarget(call.outputs[0]));
}

template <class T, class To>
struct ErrorGradient {
  const T *x, *target;
  To* to;
  Compute<T> factor;

  __device__ void operator()(int64_t i) const {
    const auto difference = Compute<T>(x[i]) - Compute<T>(target[i]);
    to[i] = To(static_cast<Compute<To>>(factor * difference));
  }
};

void squaredErrorGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &x = *call.forwardInput(0), &target = *call.forwardInput(1);
  const double scale = 2 * call.lossScale / wholeElements(call, x.type.shape);
  const int64_t count = x.type.elements();
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    const TensorView& to = call.outputs[o];
    const double sign = call.op->outputSlots[o].index == 0 ? 1 : -1;
    device::withElement(*call.op, x.type.dtype, [&](auto element) {
      using T = decltype(element);
      device::withElement(*call.op, to.type.dtype, [&](auto result) {
        using To = decltype(result);
        forEach(context, count,
                ErrorGradient<T, To>{x.as<T>(), target.as<T>(), static_cast<To*>(to.data),
                                     static_cast<Compute<T>>(sign * scale)});
      });
    });
  }
}

bool operandsAgree(const KernelCall& call) {
  const TensorView& x = call.isGradient() ? *call.forwardInput(0) : call.inputs[0];
  const TensorView& target = call.isGradient() ? *call.forwardInput(1) : call.inputs[1];
  return x.type.dtype == target.type.dtype;
}

constexpr CudaKernels kKernels[] = {
    {"CrossEntropy", device::crossEntropy, device::crossEntropyGradient},
    {"MeanSquaredError", squaredError, squaredErrorGradient, false, operandsAgree},
};

}  // namespace

std::span<const CudaKernels> cudaLossKernels() {
  return kKernels;
}

}  // namespace meshplan
