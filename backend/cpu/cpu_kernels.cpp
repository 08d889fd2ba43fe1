// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_kernels.h"

#include <cstdint>

#include "core/error.h"

namespace meshplan {
namespace {

template <class T>
void addTo(const TensorView& sum, const void* part) {
  T* to = sum.as<T>();
  const T* from = static_cast<const T*>(part);
  const int64_t n = sum.type.elements();
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

void runBeside(CpuContext& context, const KernelCall& call, CpuKernel kernel) {
  std::vector<TensorView> outputs(call.outputs.begin(), call.outputs.end());
  std::vector<std::vector<std::byte>> parts(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!call.accumulates(i)) continue;
    parts[i].resize(static_cast<size_t>(outputs[i].type.bytes().value));
    outputs[i].data = parts[i].data();
  }
  KernelCall plain = call;
  plain.outputs = outputs;
  plain.accumulate = 0;
  kernel(context, plain);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!call.accumulates(i)) continue;
    const TensorView& sum = call.outputs[i];
    if (sum.type.dtype == DType::f64)
      addTo<double>(sum, parts[i].data());
    else if (sum.type.dtype == DType::f32)
      addTo<float>(sum, parts[i].data());
    else
      throw Error(ErrorKind::runtime,
                  "gradients cannot be accumulated in " + std::string(dtypeName(sum.type.dtype)),
                  "accumulate in fp32");
  }
}

void* CpuContext::scratch(size_t bytes) {
  constexpr size_t kAlignment = 64;
  if (scratch_.size() < bytes + kAlignment) scratch_ = std::vector<std::byte>(bytes + kAlignment);
  const auto address = reinterpret_cast<uintptr_t>(scratch_.data());
  return scratch_.data() + (kAlignment - address % kAlignment) % kAlignment;
}

const CpuKernels* findCpuKernels(std::string_view def) {
  for (const auto& table :
       {contractionKernels(), convolutionKernels(), poolingKernels(), attentionKernels(),
        normalizationKernels(), recurrentKernels(), elementwiseKernels(), reductionKernels(),
        movementKernels(), indexingKernels(), headKernels(), embeddingKernels(), lossKernels(),
        moeKernels()})
    for (const CpuKernels& k : table)
      if (k.name == def) return &k;
  return nullptr;
}

void runCpuKernel(CpuContext& context, const KernelCall& call) {
  const CpuKernels* kernels = findCpuKernels(call.op->def->name);
  const CpuKernel kernel =
      kernels ? (call.isGradient() ? kernels->backward : kernels->forward) : nullptr;
  if (!kernel)
    throw Error(ErrorKind::runtime,
                "the CPU cannot run " + std::string(call.isGradient() ? "the gradient of " : "") +
                    std::string(call.op->def->name),
                "remove the operator from the model, or plan without running")
        .at(call.op->name);
  if (call.accumulate != 0 && !kernels->accumulates) return runBeside(context, call, kernel);
  kernel(context, call);
}

}  // namespace meshplan
