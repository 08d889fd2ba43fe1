// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/embedding.cpp. Bound by bandwidth. Which distances a bucket holds is
// computed on the host, so that both round the logarithms alike.
#include "backend/cuda/kernels/any_floats.h"
#include "backend/cuda/kernels/embedding_kernels.h"
#include "backend/cuda/kernels/reduce.h"
#include "backend/relative_buckets.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kWarp;

constexpr int64_t kMostBuckets = 256;

/// Bucket b has the keys from `first[b]` to `last[b]` positions after the query.
struct Distances {
  int first[kMostBuckets], last[kMostBuckets];
  int buckets;
  int64_t heads, queries, keys;

  Distances(const Attributes& attributes, int64_t total, const Shape& y)
      : buckets(static_cast<int>(total)), heads(y[1]), queries(y[2]), keys(y[3]) {
    for (int b = 0; b < buckets; ++b) first[b] = 0, last[b] = -1;
    const RelativeBuckets rule(attributes, total);
    for (int64_t ahead = 1 - queries; ahead < keys; ++ahead) {
      const int64_t b = rule.of(ahead);
      if (last[b] < first[b]) first[b] = static_cast<int>(ahead);
      last[b] = static_cast<int>(ahead);
    }
  }

  __device__ int bucketOf(int64_t ahead) const {
    int b = 0;
    while (b + 1 < buckets && (ahead < first[b] || ahead > last[b])) ++b;
    return b;
  }
};

/// The bucket of every distance, from 1 - queries on.
struct NumberBuckets {
  Distances distances;
  int* bucketOf;

  __device__ void operator()(int64_t i) const {
    bucketOf[i] = distances.bucketOf(i + 1 - distances.queries);
  }
};

template <class T>
struct Bias {
  int64_t heads, queries, keys;
  const int* bucketOf;
  const T* table;
  T* y;

  __device__ void operator()(int64_t i) const {
    const int64_t key = i % keys, query = i / keys % queries, head = i / keys / queries;
    y[i] = table[bucketOf[key - query + queries - 1] * heads + head];
  }
};

/// One block per bucket and head, whose warps take turns with the queries.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    tableGradientKernel(Distances d, const T* __restrict__ dy, device::AnyFloatTarget table) {
  const int64_t bucket = blockIdx.x / d.heads, head = blockIdx.x % d.heads;
  const int64_t lane = threadIdx.x % kWarp;
  double sum = 0;
  for (int64_t query = threadIdx.x / kWarp; query < d.queries; query += kThreadsPerBlock / kWarp) {
    const int64_t low = query + d.first[bucket], high = query + d.last[bucket];
    const int64_t first = low > 0 ? low : 0, last = high < d.keys ? high : d.keys - 1;
    const T* line = dy + (head * d.queries + query) * d.keys;
    for (int64_t key = first + lane; key <= last; key += kWarp) sum += Compute<T>(line[key]);
  }
  sum = device::blockSum(sum);
  if (threadIdx.x == 0) table.set(blockIdx.x, sum);
}

}  // namespace

namespace device {

void relativeBias(CudaContext& context, const KernelCall& call) {
  const TensorView &table = call.inputs[0], &y = call.outputs[0];
  const Distances d(call.op->attributes, table.type.shape[0], y.type.shape);
  const int64_t count = d.queries + d.keys - 1;
  auto* bucketOf = static_cast<int*>(context.scratch(count * int64_t{sizeof(int)}));
  forEach(context, count, NumberBuckets{d, bucketOf});
  withElement(*call.op, y.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, y.type.elements(),
            Bias<T>{d.heads, d.queries, d.keys, bucketOf, table.as<T>(), static_cast<T*>(y.data)});
  });
}

void relativeBiasGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &table = *call.inputGradient(0);
  const Distances d(call.op->attributes, table.type.shape[0], dy.type.shape);
  withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    launch(context, d.buckets * d.heads, kThreadsPerBlock, 0, tableGradientKernel<T>, d, dy.as<T>(),
           AnyFloatTarget(&table));
  });
}

bool takesRelativeBias(const KernelCall& call) {
  const TensorView& table = call.isGradient() ? *call.inputGradient(0) : call.inputs[0];
  const TensorView& bias = call.isGradient() ? *call.outputGradient(0) : call.outputs[0];
  return table.type.shape[0] <= kMostBuckets && bias.type.elements() > 0 &&
         (call.isGradient() || table.type.dtype == bias.type.dtype);
}

}  // namespace device
}  // namespace meshplan
