// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <chrono>
#include <functional>

#include "backend/cuda/cuda_context.h"
#include "backend/cuda/matrix.h"
#include "backend/gpus.h"

namespace meshplan {
namespace {

constexpr int kTimes = 5;
constexpr double kEnough = 2e-3;  // seconds of work that the clock and the launch do not blur
constexpr int64_t kLeastProduct = 128, kLargestProduct = 8192;
constexpr int64_t kLeastCopy = 1 << 20, kLargestCopy = 1 << 28;

/// The least of several, after one that is not counted.
double leastSeconds(CudaContext& context, const std::function<void()>& work) {
  double least = 1e30;
  for (int i = 0; i <= kTimes; ++i) {
    context.synchronize();
    const auto begin = std::chrono::steady_clock::now();
    work();
    context.synchronize();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    if (i > 0) least = std::min(least, passed.count());
  }
  return least;
}

/// What `secondsOf(size)` does per second, at the first of doubling sizes that takes long enough.
double rateOf(int64_t size, int64_t largest, const std::function<double(int64_t)>& secondsOf,
              const std::function<double(int64_t)>& workOf) {
  double seconds = secondsOf(size);
  while (seconds < kEnough && size < largest) seconds = secondsOf(size *= 2);
  return workOf(size) / seconds;
}

/// Reading and writing both count.
BytesPerSecond copyRate(CudaContext& context) {
  void* const from = context.allocate(kLargestCopy, "a copy");
  void* const to = context.allocate(kLargestCopy, "a copy");
  const auto seconds = [&](int64_t bytes) {
    return leastSeconds(context, [&] {
      context.check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                    context.stream()),
                    "cudaMemcpyAsync");
    });
  };
  return BytesPerSecond(rateOf(kLeastCopy, kLargestCopy, seconds,
                               [](int64_t bytes) { return 2.0 * static_cast<double>(bytes); }));
}

FlopsPerSecond productRate(CudaContext& context, DType stored, bool tf32) {
  const int64_t elements = kLargestProduct * kLargestProduct;
  context.kept<MatrixSettings>().tf32 = tf32;
  std::vector<void*> matrices;
  for (int i = 0; i < 3; ++i)
    matrices.push_back(context.allocate(elements * dtypeBytes(stored), "a matrix"));
  const auto seconds = [&](int64_t n) {
    const auto matrix = [&](int i) {
      return Matrices{matrices[static_cast<size_t>(i)], stored, n, 1, 0};
    };
    const MatrixProduct product{{n, n, n, 1}, matrix(0), matrix(1), matrix(2)};
    return leastSeconds(context, [&] { multiply(context, product); });
  };
  return FlopsPerSecond(rateOf(kLeastProduct, kLargestProduct, seconds, [](int64_t n) {
    return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
  }));
}

/// By compute capability (CUDA C++ programming guide, "Compute Capabilities").
std::string architectureOf(int capability) {
  if (capability >= 100) return "blackwell";
  if (capability >= 90) return "hopper";
  if (capability >= 89) return "ada";
  if (capability >= 80) return "ampere";
  return capability >= 75 ? "turing" : "volta";
}

int64_t l2Bytes(const CudaContext& context) {
  cudaDeviceProp properties;
  context.check(cudaGetDeviceProperties(&properties, context.index()), "cudaGetDeviceProperties");
  return properties.l2CacheSize;
}

void measureProducts(int index, DeviceSpec& d) {
  struct Kind {
    DType compute, stored;
  };
  for (const Kind& k :
       {Kind{DType::f64, DType::f64}, Kind{DType::f32, DType::f32}, Kind{DType::tf32, DType::f32},
        Kind{DType::bf16, DType::bf16}, Kind{DType::f16, DType::f16}}) {
    CudaContext context(index, 0);  // its memory goes with it
    d.matrixPeak[k.compute] = productRate(context, k.stored, k.compute == DType::tf32);
  }
}

}  // namespace

DeviceSpec measureGpu(const Gpu& gpu) {
  DeviceSpec d;
  d.name = gpuModel(gpu);
  d.architecture = architectureOf(gpu.capability);
  d.memory = gpu.memory;
  d.multiprocessors = gpu.multiprocessors;
  {
    CudaContext context(gpu.index, 0);
    d.l2 = Bytes(l2Bytes(context));
    d.memoryBandwidth = copyRate(context);
  }
  measureProducts(gpu.index, d);
  d.vectorPeak = d.matrixPeak[DType::f32];
  const std::string source = "measured: the peak is what a square product reached";
  d.parameters["vector_ceiling"] = d.parameters["matrix_ceiling"] = {1, 0, source};
  d.parameters["memory_efficiency"] = {1, 0, "measured: the bandwidth is that of large copies"};
  d.source = "measured on this machine";
  return d;
}

}  // namespace meshplan
