// SPDX-License-Identifier: Apache-2.0
// Kernels of the CPU beside what the machine can do: OpenBLAS's sgemm and memcpy, on all
// threads.
#include <benchmark/benchmark.h>
#include <cblas.h>
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "backend/cpu/optimizer_update.h"
#include "backend/cpu/parallel.h"
#include "tests/bench/operator_run.h"

namespace meshplan {
namespace {

using Ints = std::vector<int64_t>;
using Clock = std::chrono::steady_clock;

int threadCount() {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// Seconds of one call: the fastest of `rounds`.
template <class F>
double fastest(int rounds, F f) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto start = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// FLOP/s of OpenBLAS for square matrices, on all threads.
double sgemmPeak() {
  static const double peak = [] {
    constexpr blasint n = 2048;
    const std::vector<float> a(n * n, 0.5f), b(n * n, 0.25f);
    std::vector<float> c(n * n);
    openblas_set_num_threads(threadCount());
    const double seconds = fastest(5, [&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n,
                  0, c.data(), n);
    });
    openblas_set_num_threads(1);
    return 2.0 * n * n * n / seconds;
  }();
  return peak;
}

/// Bytes per second read and written by memcpy where no cache holds them, on all threads. Stores
/// past the caches, and kernels that update in place, can exceed it.
double copyPeak() {
  static const double peak = [] {
    constexpr int64_t bytes = 256 << 20, line = 64;
    std::vector<std::byte> from(bytes, std::byte{1}), to(bytes);
    const CpuContext context(threadCount());
    const double seconds = fastest(5, [&] {
      parallelRanges(context, bytes / line, line, [&](int64_t begin, int64_t end) {
        std::memcpy(to.data() + begin * line, from.data() + begin * line,
                    static_cast<size_t>((end - begin) * line));
      });
    });
    return 2.0 * bytes / seconds;
  }();
  return peak;
}

void count(benchmark::State& state, double seconds, double flops, double bytes, bool multiplies) {
  const double rate =
      static_cast<double>(state.iterations()) * (multiplies ? flops : bytes) / seconds;
  state.counters[multiplies ? "GFLOP/s" : "GB/s"] = rate / 1e9;
  state.counters[multiplies ? "of_sgemm" : "of_memcpy"] =
      rate / (multiplies ? sgemmPeak() : copyPeak());
}

template <class F>
void timed(benchmark::State& state, double flops, double bytes, bool multiplies, F f) {
  f();
  const auto start = Clock::now();
  for (auto _ : state) f();
  count(state, std::chrono::duration<double>(Clock::now() - start).count(), flops, bytes,
        multiplies);
}

void forward(benchmark::State& state, const OperatorCase& c, Precision precision) {
  OperatorRun run(c, precision, threadCount());
  timed(state, run.forwardFlops(), run.forwardBytes(), run.multiplies(), [&] { run.forward(); });
}

void gradients(benchmark::State& state, const OperatorCase& c, Precision precision) {
  OperatorRun run(c, precision, threadCount());
  timed(state, run.gradientFlops(), run.gradientBytes(), run.multiplies(),
        [&] { run.gradients(); });
}

void adamw(benchmark::State& state, int64_t count) {
  std::vector<float> weights(static_cast<size_t>(count), 1), gradient(weights), m(weights),
      v(weights);
  ParameterUpdate update;
  update.weights = weights.data();
  update.gradient = gradient.data();
  update.states[0] = m.data();
  update.states[1] = v.data();
  update.count = count;
  const CpuContext context(threadCount());
  timed(state, 0, 28.0 * static_cast<double>(count), false,
        [&] { updateParameters(context, {}, update); });
}

void sgemm(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sgemmPeak());
  state.counters["GFLOP/s"] = sgemmPeak() / 1e9;
}

void copy(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(copyPeak());
  state.counters["GB/s"] = copyPeak() / 1e9;
}

OperatorCase product(int64_t rows, int64_t in, int64_t out) {
  return {"Linear", {}, {{rows, in}, {in, out}}};
}

/// Layers of ResNet-50 at batch 8.
OperatorCase convolution(int64_t in, int64_t size, int64_t out, int64_t kernel, int64_t stride) {
  const Attributes attributes{{"strides", Ints{stride, stride}}, {"pads", Ints(4, kernel / 2)}};
  return {"Conv", attributes, {{8, in, size, size}, {out, in, kernel, kernel}}};
}

OperatorCase attention(int64_t batch, int64_t heads, int64_t length, int64_t width) {
  const Shape shape{batch, heads, length, width};
  return {"Attention", {}, {shape, shape, shape}};
}

const std::vector<std::pair<std::string, OperatorCase>>& cases() {
  static const std::vector<std::pair<std::string, OperatorCase>> list{
      {"gemm/2048x1024x4096", product(2048, 1024, 4096)},
      {"gemm/256x768x3072", product(256, 768, 3072)},
      {"gemm/256x768x50257", product(256, 768, 50257)},
      {"conv/3x224_64_7x7_s2", convolution(3, 224, 64, 7, 2)},
      {"conv/64x56_64_3x3", convolution(64, 56, 64, 3, 1)},
      {"conv/64x56_256_1x1", convolution(64, 56, 256, 1, 1)},
      {"conv/128x28_128_3x3", convolution(128, 28, 128, 3, 1)},
      {"conv/256x56_512_1x1_s2", convolution(256, 56, 512, 1, 2)},
      {"conv/256x14_256_3x3", convolution(256, 14, 256, 3, 1)},
      {"conv/1024x14_256_1x1", convolution(1024, 14, 256, 1, 1)},
      {"conv/512x7_512_3x3", convolution(512, 7, 512, 3, 1)},
      {"attention/8x8x128x64", attention(8, 8, 128, 64)},
      {"attention/1x12x1024x64", attention(1, 12, 1024, 64)},
      {"layer_norm/4096x1024", {"LayerNormalization", {}, {{4096, 1024}, {1024}, {1024}}}},
      {"batch_norm/8x256x56x56",
       {"BatchNormalization", {{"training", int64_t{1}}}, {{8, 256, 56, 56}, {256}, {256}}}},
      {"relu/8x256x56x56", {"Relu", {}, {{8, 256, 56, 56}}}},
      {"max_pool/8x64x112x112",
       {"MaxPool",
        {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints(4, 1)}},
        {{8, 64, 112, 112}}}},
      {"softmax_cross_entropy/256x50257", {"CrossEntropy", {}, {{256, 50257}}, {{256}}, 50257}},
  };
  return list;
}

template <class... Arguments>
void add(const std::string& name, Arguments&&... arguments) {
  benchmark::RegisterBenchmark(name.c_str(), std::forward<Arguments>(arguments)...)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime()
      ->MinTime(0.3);
}

[[maybe_unused]] const bool kAdded = [] {
  benchmark::RegisterBenchmark("kernel/peak/sgemm_2048", sgemm)->Iterations(1);
  benchmark::RegisterBenchmark("kernel/peak/memcpy_256MiB", copy)->Iterations(1);
  for (const auto& [name, c] : cases()) {
    const OperatorCase* const one = &c;
    const auto both = [&](const std::string& type, Precision precision) {
      add("kernel/" + name + type + "/forward",
          [=](benchmark::State& state) { forward(state, *one, precision); });
      add("kernel/" + name + type + "/gradients",
          [=](benchmark::State& state) { gradients(state, *one, precision); });
    };
    both("", Precision::fp32);
    if (c.def == "Linear") both("/bf16", Precision::bf16);
  }
  add("kernel/adamw/25M", [](benchmark::State& state) { adamw(state, 25'000'000); });
  return true;
}();

}  // namespace
}  // namespace meshplan
