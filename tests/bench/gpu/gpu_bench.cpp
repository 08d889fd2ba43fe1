// SPDX-License-Identifier: Apache-2.0
// Operators of the GPU at full size beside what the machine can do: what it copies and multiplies.
// Prints a table and, with --json FILE, writes the same as JSON.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/cuda/parameter_kernels.h"
#include "backend/gpus.h"
#include "core/error.h"
#include "tests/bench/gpu/operator_bench.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

TensorType bf16(Shape shape) {
  return {DType::bf16, std::move(shape)};
}

struct Limits {
  double bytesPerSecond = 0, flopsPerSecond = 0;
};

/// One line: what limits it is the slower of moving its bytes and doing its FLOPs.
ordered_json line(const std::string& name, double seconds, double bytes, double flops,
                  const Limits& limits) {
  const double least = std::max(limits.bytesPerSecond > 0 ? bytes / limits.bytesPerSecond : 0,
                                limits.flopsPerSecond > 0 ? flops / limits.flopsPerSecond : 0);
  fmt::print("{:<52} {:>10.1f} us {:>8.0f} GB/s {:>8.1f} TFLOP/s {:>6.1f} %\n", name, 1e6 * seconds,
             1e-9 * bytes / seconds, 1e-12 * flops / seconds, 100 * least / seconds);
  return {{"name", name},
          {"seconds", seconds},
          {"bytes_per_second", bytes / seconds},
          {"flops_per_second", flops / seconds},
          {"of_limit", least / seconds}};
}

struct Case {
  std::string name, def;
  Attributes attributes;
  std::vector<TensorType> inputs;
};

Attributes with(std::initializer_list<std::pair<const char*, Attribute>> all) {
  Attributes a;
  for (const auto& [name, value] : all) a.set(name, value);
  return a;
}

/// What training GPT-2 and Llama is made of.
std::vector<Case> cases() {
  const Attributes causal =
      with({{"causal", int64_t{1}}, {"implementation", std::string("flash")}});
  return {
      {"Linear 8192^3", "Linear", {}, {bf16({8192, 8192}), bf16({8192, 8192})}},
      {"Linear gpt2 qkv 32768x768x2304",
       "Linear",
       {},
       {bf16({32, 1024, 768}), bf16({768, 2304}), bf16({2304})}},
      {"Linear gpt2 up 32768x768x3072",
       "Linear",
       {},
       {bf16({32, 1024, 768}), bf16({768, 3072}), bf16({3072})}},
      {"Linear gpt2 head 32768x768x50304",
       "Linear",
       {},
       {bf16({32, 1024, 768}), bf16({768, 50304})}},
      {"Attention 32x12x1024x64 causal",
       "Attention",
       causal,
       {bf16({32, 12, 1024, 64}), bf16({32, 12, 1024, 64}), bf16({32, 12, 1024, 64})}},
      {"Attention 1x64(8)x4096x128 causal",
       "Attention",
       causal,
       {bf16({1, 64, 4096, 128}), bf16({1, 8, 4096, 128}), bf16({1, 8, 4096, 128})}},
      {"Attention 1x64(8)x8192x128 causal",
       "Attention",
       causal,
       {bf16({1, 64, 8192, 128}), bf16({1, 8, 8192, 128}), bf16({1, 8, 8192, 128})}},
      {"LayerNormalization 32768x768",
       "LayerNormalization",
       {},
       {bf16({32, 1024, 768}), bf16({768}), bf16({768})}},
      {"RMSNormalization 16384x4096", "RMSNormalization", {}, {bf16({16384, 4096}), bf16({4096})}},
      {"Gelu 32768x3072", "Gelu", {}, {bf16({32, 1024, 3072})}},
      {"Add 32768x768", "Add", {}, {bf16({32, 1024, 768}), bf16({32, 1024, 768})}},
      {"SplitHeads 32x1024x2304",
       "SplitHeads",
       with({{"group", int64_t{1}}, {"head_dim", int64_t{64}}}),
       {bf16({32, 1024, 2304})}},
      {"MergeHeads 32x12x1024x64", "MergeHeads", {}, {bf16({32, 12, 1024, 64})}},
      {"CrossEntropy 8192x50304",
       "CrossEntropy",
       {},
       {bf16({8, 1024, 50304}), {DType::i64, {8, 1024}}}},
      {"Embedding 32x1024 of 50304x768",
       "Embedding",
       {},
       {{DType::i64, {32, 1024}}, bf16({50304, 768})}},
      {"Conv 256x64x56x56 3x3",
       "Conv",
       with({{"kernel_shape", std::vector<int64_t>{3, 3}},
             {"pads", std::vector<int64_t>{1, 1, 1, 1}}}),
       {bf16({256, 64, 56, 56}), bf16({64, 64, 3, 3})}},
      {"BatchNormalization 256x64x56x56",
       "BatchNormalization",
       with({{"training", int64_t{1}}}),
       {bf16({256, 64, 56, 56}), bf16({64}), bf16({64})}},
  };
}

double copySeconds(CudaContext& context, int64_t bytes) {
  void* from = context.allocate(bytes, "a copy");
  void* to = context.allocate(bytes, "a copy");
  return medianSeconds(context, [&] {
    context.check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                  context.stream()),
                  "cudaMemcpyAsync");
  });
}

/// Weights, gradient and two states are read, all but the gradient written, and the master weights.
ordered_json adamw(CudaContext& context, const Limits& limits) {
  constexpr int64_t kCount = 100'000'000;
  ParameterUpdate u;
  u.count = kCount;
  u.weightsType = DType::bf16;
  u.weights = context.allocate(kCount * 2, "weights");
  u.gradient = context.allocate(kCount * 4, "a gradient");
  for (void*& state : u.states) state = context.allocate(kCount * 4, "a state");
  u.master = context.allocate(kCount * 4, "master weights");
  const double seconds = medianSeconds(context, [&] { updateParameters(context, u); });
  return line("AdamW 100M bf16, fp32 master", seconds, double{kCount} * (2 + 4 + 3 * 8), 0, limits);
}

ordered_json bench(int64_t gibibytes) {
  CudaContext context(0, 0);
  context.setStepValues({});
  ordered_json lines = ordered_json::array();
  Limits limits;
  const int64_t bytes = gibibytes << 30;
  limits.bytesPerSecond = 2.0 * static_cast<double>(bytes) / copySeconds(context, bytes);
  lines.push_back(line("copy", 2.0 * static_cast<double>(bytes) / limits.bytesPerSecond,
                       2.0 * static_cast<double>(bytes), 0, {}));
  for (const Case& c : cases()) {
    CudaContext own(0, 0);
    try {
      OperatorBench operation(own, c.def, c.attributes, c.inputs, DType::f32);
      if (operation.onHost()) {
        fmt::print("{:<52} runs on the host\n", c.name);
        lines.push_back({{"name", c.name}, {"on_host", true}});
        continue;
      }
      const double seconds = operation.forwardSeconds();
      if (limits.flopsPerSecond == 0) limits.flopsPerSecond = operation.forwardFlops() / seconds;
      lines.push_back(
          line(c.name, seconds, operation.forwardBytes(), operation.forwardFlops(), limits));
      if (const double back = operation.backwardSeconds(); back > 0)
        lines.push_back(line(c.name + " gradient", back, operation.backwardBytes(),
                             operation.backwardFlops(), limits));
    } catch (const Error& error) {
      fmt::print("{:<52} failed: {}\n", c.name, error.what());
      lines.push_back({{"name", c.name}, {"error", error.what()}});
    }
  }
  lines.push_back(adamw(context, limits));
  return lines;
}

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  using namespace meshplan;
  CLI::App app("Times operators on GPU 0.");
  std::string file;
  int64_t gibibytes = 1;
  app.add_option("--json", file, "Where to write the figures");
  app.add_option("--copy", gibibytes, "GiB of the copy that bandwidths are compared with");
  CLI11_PARSE(app, argc, argv);
  const GpuState state = gpuState();
  if (state.gpus.empty()) {
    fmt::print("not measured: {}\n", state.problem);
    return 0;
  }
  try {
    ordered_json document{{"schema_version", 1}, {"gpu", state.gpus.front().name}};
    document["operators"] = bench(gibibytes);
    if (!file.empty()) std::ofstream(file) << document.dump(2) << '\n';
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exitCode(error.kind());
  }
}
