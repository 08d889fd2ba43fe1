// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/gpu/operator_bench.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "backend/bfloat16.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/cuda_transfers.h"
#include "backend/host_tensor.h"

namespace meshplan {
namespace {

constexpr double kGroupSeconds = 5e-3;  // long against the clock's half microsecond

/// Small numbers; labels and indices below 1000.
HostTensor randomBlock(DType dtype, int64_t elements) {
  std::mt19937_64 random(7);
  std::vector<double> values(static_cast<size_t>(elements));
  for (double& v : values)
    v = isFloating(dtype) ? static_cast<double>(random() >> 11) * 0x1p-52 - 1
                          : static_cast<double>(random() % 1000);
  return fromDoubles({dtype, {elements}}, values);
}

}  // namespace

double medianSeconds(CudaContext& context, const std::function<void()>& work, int repeats) {
  cudaEvent_t start, end;
  context.check(cudaEventCreateWithFlags(&start, cudaEventDefault), "cudaEventCreate");
  context.check(cudaEventCreateWithFlags(&end, cudaEventDefault), "cudaEventCreate");
  const auto group = [&](int runs) {
    context.check(cudaEventRecord(start, context.stream()), "cudaEventRecord");
    for (int i = 0; i < runs; ++i) work();
    context.check(cudaEventRecord(end, context.stream()), "cudaEventRecord");
    context.check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0;
    context.check(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(milliseconds) / runs;
  };
  group(3);
  const double once = std::max(group(3), 1e-7);
  const int runs = static_cast<int>(std::clamp(kGroupSeconds / once, 3.0, 1000.0));
  std::vector<double> seconds;
  for (int r = 0; r < repeats; ++r) seconds.push_back(group(runs));
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  return seconds[static_cast<size_t>(repeats / 2)];
}

OperatorBench::OperatorBench(CudaContext& context, std::string_view def, Attributes attributes,
                             std::vector<TensorType> inputs, std::optional<DType> weightGradients)
    : context_(context), weightGradients_(weightGradients), inputTypes_(std::move(inputs)) {
  const OperatorDef& d = operatorDef(def);
  outputTypes_ = d.infer(attributes, inputTypes_);
  for (const Axis& a : d.nest({attributes, inputTypes_, outputTypes_}).axes)
    axes_.push_back({0, a.extent, a.extent});
  forward_.op.def = &d;
  forward_.op.name = def;
  forward_.op.attributes = std::move(attributes);
  for (const TensorType& t : inputTypes_) forward_.inputs.push_back(place(t));
  for (const TensorType& t : outputTypes_) forward_.outputs.push_back(place(t));
  run(forward_);
  if (d.gradient == GradientKind::none) return;
  if (d.gradient == GradientKind::fused) {
    backward_.push_back(gradientOf(0, inputTypes_.size()));
  } else {
    backward_.push_back(gradientOf(0, 1));
    backward_.push_back(gradientOf(1, inputTypes_.size()));
  }
  std::erase_if(backward_, [](const Pass& p) { return p.outputs.empty(); });
}

TensorView OperatorBench::place(const TensorType& type) {
  constexpr int64_t kBlock = 1 << 20;
  const int64_t bytes = type.bytes().value;
  auto* at = static_cast<std::byte*>(context_.allocate(bytes, "a benchmark"));
  const HostTensor block = randomBlock(type.dtype, std::min(type.elements(), kBlock));
  const auto part = static_cast<int64_t>(block.bytes().size());
  for (int64_t offset = 0; offset < bytes; offset += part)
    uploadBytes(context_, at + offset, block.bytes().data(), std::min(part, bytes - offset));
  return {at, type};
}

OperatorBench::Pass OperatorBench::gradientOf(size_t first, size_t last) {
  Pass pass;
  pass.op.def = forward_.op.def;
  pass.op.name = forward_.op.name;
  pass.op.attributes = forward_.op.attributes;
  const OpContext types{forward_.op.attributes, inputTypes_, outputTypes_};
  SlotSet reads;
  for (size_t i = first; i < last; ++i) {
    TensorType type = inputTypes_[i];
    if (!isFloating(type.dtype)) continue;
    if (i > 0 && weightGradients_) type.dtype = *weightGradients_;
    pass.outputs.push_back(place(type));
    pass.op.outputSlots.push_back({Slot::inputGradient, static_cast<uint8_t>(i)});
    if (!pass.op.def->needs) continue;
    const SlotSet needs = pass.op.def->needs(types, static_cast<int>(i));
    reads.inputs |= needs.inputs;
    reads.outputs |= needs.outputs;
  }
  if (pass.op.def->gradientAttributes)
    for (const auto& [name, value] : pass.op.def->gradientAttributes(types))
      pass.op.attributes.set(name, value);
  const auto read = [&](Slot::Kind kind, size_t i, const TensorView& view) {
    pass.inputs.push_back(view);
    pass.op.inputSlots.push_back({kind, static_cast<uint8_t>(i)});
  };
  if (pass.op.def->opClass != OpClass::loss) read(Slot::outputGradient, 0, place(outputTypes_[0]));
  for (size_t i = 0; i < inputTypes_.size(); ++i)
    if (reads.inputs >> i & 1) read(Slot::input, i, forward_.inputs[i]);
  for (size_t i = 0; i < outputTypes_.size(); ++i)
    if (reads.outputs >> i & 1) read(Slot::output, i, forward_.outputs[i]);
  return pass;
}

void OperatorBench::run(const Pass& pass) {
  KernelCall call;
  call.op = &pass.op;
  call.inputs = pass.inputs;
  call.outputs = pass.outputs;
  call.axes = axes_;
  runCudaKernel(context_, call);
}

double OperatorBench::seconds(const std::vector<Pass>& passes, int repeats) {
  return medianSeconds(
      context_,
      [&] {
        for (const Pass& pass : passes) run(pass);
      },
      repeats);
}

double OperatorBench::forwardSeconds(int repeats) {
  return seconds({forward_}, repeats);
}
double OperatorBench::backwardSeconds(int repeats) {
  return backward_.empty() ? 0 : seconds(backward_, repeats);
}

double OperatorBench::bytesOf(const Pass& pass) {
  double bytes = 0;
  for (const auto* views : {&pass.inputs, &pass.outputs})
    for (const TensorView& v : *views) bytes += static_cast<double>(v.type.bytes().value);
  return bytes;
}

double OperatorBench::forwardBytes() const {
  return bytesOf(forward_);
}
double OperatorBench::backwardBytes() const {
  double bytes = 0;
  for (const Pass& pass : backward_) bytes += bytesOf(pass);
  return bytes;
}
double OperatorBench::forwardFlops() const {
  return meshplan::forwardFlops(*forward_.op.def,
                                {forward_.op.attributes, inputTypes_, outputTypes_})
      .value;
}
double OperatorBench::backwardFlops() const {
  return forwardFlops() * backwardRatio(*forward_.op.def, forward_.op.attributes);
}

}  // namespace meshplan
