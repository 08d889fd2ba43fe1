// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "backend/kernel.h"

namespace meshplan {

/// What the kernels of one rank share: the number of threads they may use (OpenMP's setting of the
/// calling thread), scratch memory that grows to the largest demand, and one object of each type
/// that a kernel family keeps between calls (compiled primitives). Used by one thread at a time.
class CpuContext {
 public:
  explicit CpuContext(int threads) : threads_(threads) {}

  int threads() const { return threads_; }
  /// At least `bytes` bytes aligned to 64, valid until the next call of scratch.
  void* scratch(size_t bytes);
  size_t scratchBytes() const { return scratch_.size(); }

  template <class T>
  T& kept() {
    const auto [slot, isNew] = kept_.try_emplace(std::type_index(typeid(T)), nullptr, nullptr);
    if (isNew) slot->second = Kept(new T, [](void* p) { delete static_cast<T*>(p); });
    return *static_cast<T*>(slot->second.get());
  }

 private:
  using Kept = std::unique_ptr<void, void (*)(void*)>;

  int threads_;
  std::vector<std::byte> scratch_;
  std::unordered_map<std::type_index, Kept> kept_;
};

using CpuKernel = void (*)(CpuContext&, const KernelCall&);

/// The kernels of an operator (docs/operators.md). Floating-point tensors are fp32, fp64 or bf16
/// (computed in fp32, weight gradients in their own type); anything else throws Error(runtime) that
/// names the operator and the dtype. `backward` runs every gradient operator of the forward
/// operator: which gradients are wanted follows from the slots.
struct CpuKernels {
  std::string_view name;  // of the OperatorDef
  CpuKernel forward = nullptr;
  CpuKernel backward = nullptr;
  /// Whether `backward` honours KernelCall::accumulate; if not, runKernel adds for it.
  bool accumulates = false;
};

/// One table per family, joined by findCpuKernels.
std::span<const CpuKernels> contractionKernels();
std::span<const CpuKernels> convolutionKernels();
std::span<const CpuKernels> poolingKernels();
std::span<const CpuKernels> attentionKernels();
std::span<const CpuKernels> normalizationKernels();
std::span<const CpuKernels> recurrentKernels();
std::span<const CpuKernels> elementwiseKernels();
std::span<const CpuKernels> reductionKernels();
std::span<const CpuKernels> movementKernels();
std::span<const CpuKernels> indexingKernels();
std::span<const CpuKernels> headKernels();
std::span<const CpuKernels> embeddingKernels();
std::span<const CpuKernels> lossKernels();
std::span<const CpuKernels> moeKernels();

/// Null when the CPU has no kernel for it.
const CpuKernels* findCpuKernels(std::string_view def);

/// For kernels that only overwrite: computes beside what they should add to, and adds.
void runBeside(CpuContext& context, const KernelCall& call, CpuKernel kernel);

/// Runs one operator of phase forward or backward. Throws Error(runtime) naming an operator that
/// has no kernel.
void runCpuKernel(CpuContext& context, const KernelCall& call);

}  // namespace meshplan
