// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/comm/ordered_reduction.cpp. Bound by bandwidth: every part is read and
// every output written once.
#include "backend/cuda/rank_reduction.h"

#include <fmt/core.h>

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kPack;
using device::Pack;

struct Sum {
  template <class A>
  static __device__ A combine(A a, A b) {
    return a + b;
  }
};
struct Max {
  template <class A>
  static __device__ A combine(A a, A b) {
    return a < b || b != b ? b : a;
  }
};

/// Elements i * N and the N - 1 after it of all parts, combined for all outputs.
template <class T, class Op, int N>
struct Reduce {
  const T* parts[kMostGpuRanks];
  T* outputs[kMostGpuRanks];
  int ranks, targets;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    A total[N];
    const auto first = reinterpret_cast<const Pack<T, N>*>(parts[0])[i];
    for (int k = 0; k < N; ++k) total[k] = A(first.at[k]);
    for (int p = 1; p < ranks; ++p) {
      const auto part = reinterpret_cast<const Pack<T, N>*>(parts[p])[i];
      for (int k = 0; k < N; ++k) total[k] = Op::combine(total[k], A(part.at[k]));
    }
    Pack<T, N> rounded;
    for (int k = 0; k < N; ++k) rounded.at[k] = T(total[k]);
    for (int o = 0; o < targets; ++o) reinterpret_cast<Pack<T, N>*>(outputs[o])[i] = rounded;
  }
};

template <class T, class Op, int N>
void reduceFrom(CudaContext& context, std::span<const void* const> parts,
                std::span<void* const> outputs, int64_t begin, int64_t packs) {
  Reduce<T, Op, N> reduce;
  reduce.ranks = static_cast<int>(parts.size());
  reduce.targets = static_cast<int>(outputs.size());
  for (size_t p = 0; p < parts.size(); ++p)
    reduce.parts[p] = static_cast<const T*>(parts[p]) + begin;
  for (size_t o = 0; o < outputs.size(); ++o)
    reduce.outputs[o] = static_cast<T*>(outputs[o]) + begin;
  forEach(context, packs, reduce);
}

bool aligned(std::span<const void* const> places) {
  for (const void* place : places)
    if (reinterpret_cast<uintptr_t>(place) % 16 != 0) return false;
  return true;
}

template <class T, class Op>
void reduceAs(CudaContext& context, std::span<const void* const> parts,
              std::span<void* const> outputs, int64_t count) {
  const std::span<const void* const> targets(outputs.data(), outputs.size());
  int64_t packs = 0;
  if (aligned(parts) && aligned(targets)) packs = count / kPack<T>;
  reduceFrom<T, Op, kPack<T>>(context, parts, outputs, 0, packs);
  const int64_t done = packs * kPack<T>;
  reduceFrom<T, Op, 1>(context, parts, outputs, done, count - done);
}

template <class T>
void reduceBy(CudaContext& context, std::span<const void* const> parts,
              std::span<void* const> outputs, int64_t count, ReduceOp op) {
  if (op == ReduceOp::sum)
    reduceAs<T, Sum>(context, parts, outputs, count);
  else
    reduceAs<T, Max>(context, parts, outputs, count);
}

}  // namespace

void reduceInRankOrder(CudaContext& context, std::span<const void* const> parts,
                       std::span<void* const> outputs, int64_t count, DType type, ReduceOp op) {
  if (parts.size() > size_t{kMostGpuRanks} || outputs.size() > size_t{kMostGpuRanks})
    throw Error(ErrorKind::usage, fmt::format("{} ranks share a GPU", parts.size()),
                fmt::format("start at most {}", kMostGpuRanks));
  if (parts.size() == 1 && outputs.size() == 1 && parts[0] == outputs[0]) return;
  switch (type) {
    case DType::f64:
      return reduceBy<double>(context, parts, outputs, count, op);
    case DType::f32:
    case DType::tf32:
      return reduceBy<float>(context, parts, outputs, count, op);
    case DType::bf16:
      return reduceBy<BFloat16>(context, parts, outputs, count, op);
    case DType::f16:
      return reduceBy<Half>(context, parts, outputs, count, op);
    default:
      throw Error(ErrorKind::internal, fmt::format("a reduction of {}", dtypeName(type)));
  }
}

}  // namespace meshplan
