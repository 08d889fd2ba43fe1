// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/embedding.cpp.
// Bound by bandwidth. The gradient of a table is summed without atomics: the ids are sorted with
// their places kept in order, and one warp adds all lines of an id, in the order of its places, so
// that the work is that of reading every line of dy once.
#include "backend/cpu/axis_ranges.h"
#include "backend/cuda/kernels/embedding_kernels.h"
#include "backend/cuda/kernels/indices.h"
#include "backend/cuda/kernels/key_sort.h"
#include "backend/cuda/kernels/rows.h"
#include "backend/cuda/parameter_kernels.h"
#include "backend/cuda/row_sums.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kPack;

/// The rows of the local table that ids name; -1 where another rank has the row or none does.
/// Negative ids count from the end.
struct TableRows {
  device::Indices ids;
  device::IndexCheck check;  // of the whole vocabulary
  int64_t first, rows;

  __device__ int64_t of(int64_t i) const {
    const int64_t given = ids[i], id = given < 0 ? given + check.size : given;
    if (id < 0 || id >= check.size) {
      check.tell(given);
      return -1;
    }
    const int64_t row = id - first;
    return row >= 0 && row < rows ? row : -1;
  }
};

TableRows tableRows(CudaContext& context, const KernelCall& call, const TensorView& ids,
                    int64_t localRows) {
  const AxisRange vocabulary = rangeOf(call, ids.type.shape.size(), localRows);
  return {device::indicesOf(*call.op, ids),
          device::IndexCheck(context, *call.op, "id {} is outside the vocabulary of {}",
                             vocabulary.whole),
          vocabulary.begin, localRows};
}

/// Lines of `units` pieces of type U.
template <class U>
struct CopyLines {
  TableRows rows;
  int64_t units;
  const U* table;
  U* y;

  __device__ void operator()(int64_t i) const {
    const int64_t row = rows.of(i / units);
    y[i] = row < 0 ? U{} : table[row * units + i % units];
  }
};

template <class U>
void copyLines(CudaContext& context, const TableRows& rows, int64_t lines, int64_t bytes,
               const TensorView& table, const TensorView& y) {
  const int64_t units = bytes / static_cast<int64_t>(sizeof(U));
  forEach(context, lines * units, CopyLines<U>{rows, units, table.as<U>(), y.as<U>()});
}

void embeddingForward(CudaContext& context, const KernelCall& call) {
  const TensorView &ids = call.inputs[0], &table = call.inputs[1], &y = call.outputs[0];
  const TableRows rows = tableRows(context, call, ids, table.type.shape[0]);
  const int64_t lines = ids.type.elements();
  const int64_t bytes = table.type.shape[1] * dtypeBytes(table.type.dtype);
  if (bytes % 16 == 0) return copyLines<uint4>(context, rows, lines, bytes, table, y);
  if (bytes % 4 == 0) return copyLines<uint32_t>(context, rows, lines, bytes, table, y);
  copyLines<uint16_t>(context, rows, lines, bytes, table, y);
}

/// Rows of other ranks come last, as row number rows.rows.
struct FindRows {
  TableRows rows;
  int32_t* keys;

  __device__ void operator()(int64_t i) const {
    const int64_t row = rows.of(i);
    keys[i] = static_cast<int32_t>(row < 0 ? rows.rows : row);
  }
};

/// A warp per place in the order of keys and kWarp * N columns; those at the first place of a key
/// add all of it.
template <class T, class Out, int N>
__global__ void __launch_bounds__(kThreadsPerBlock)
    sumLinesKernel(device::SortedKeys sorted, int64_t count, int64_t rows, int64_t slices,
                   int64_t features, const T* __restrict__ dy, Out* __restrict__ table,
                   bool accumulate) {
  using A = std::conditional_t<std::is_same_v<Out, double>, double, Compute<T>>;
  const int64_t warp = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) / device::kWarp;
  const int64_t first = warp / slices;
  const int64_t column =
      (warp % slices * device::kWarp + static_cast<int64_t>(threadIdx.x) % device::kWarp) * N;
  if (first >= count || column >= features) return;
  const int32_t key = sorted.keys[first];
  if (key >= rows || (first > 0 && sorted.keys[first - 1] == key)) return;
  A sums[N] = {};
  for (int64_t i = first; i < count && sorted.keys[i] == key; ++i) {
    const auto line = device::load<T, N>(dy + int64_t{sorted.places[i]} * features + column);
    for (int k = 0; k < N; ++k) sums[k] += A(line.at[k]);
  }
  Out* to = table + int64_t{key} * features + column;
  for (int k = 0; k < N; ++k) {
    const A old = accumulate ? A(to[k]) : A(0);
    to[k] = Out(static_cast<Compute<Out>>(old + sums[k]));
  }
}

struct Lines {
  int64_t count, features, rows;
};

template <class T, class Out, int N>
void sumLinesAs(CudaContext& context, const Lines& lines, const device::SortedKeys& sorted,
                const TensorView& dy, const TensorView& table, bool accumulate) {
  const int64_t slices = ceilDiv(lines.features, int64_t{device::kWarp} * N);
  launch(context, ceilDiv(lines.count * slices, kThreadsPerBlock / device::kWarp), kThreadsPerBlock,
         0, sumLinesKernel<T, Out, N>, sorted, lines.count, lines.rows, slices, lines.features,
         dy.as<T>(), static_cast<Out*>(table.data), accumulate);
}

void sumLines(CudaContext& context, const Operator& op, const Lines& lines,
              const device::SortedKeys& sorted, const TensorView& dy, const TensorView& table,
              bool accumulate) {
  device::withElement(op, dy.type.dtype, [&](auto element) {
    device::withElement(op, table.type.dtype, [&](auto result) {
      using T = decltype(element);
      using Out = decltype(result);
      if (lines.features % kPack<T> == 0)
        sumLinesAs<T, Out, kPack<T>>(context, lines, sorted, dy, table, accumulate);
      else
        sumLinesAs<T, Out, 1>(context, lines, sorted, dy, table, accumulate);
    });
  });
}

void clear(CudaContext& context, const TensorView& view) {
  context.check(
      cudaMemsetAsync(view.data, 0, static_cast<size_t>(view.type.bytes().value), context.stream()),
      "cudaMemsetAsync");
}

void embeddingBackward(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &ids = *call.forwardInput(0);
  size_t output = 0;
  const TensorView& table = *call.inputGradient(1, &output);
  const bool accumulate = call.accumulates(output);
  if (!accumulate) clear(context, table);
  const Lines lines{ids.type.elements(), table.type.shape[1], table.type.shape[0]};
  if (lines.count == 0) return;
  const int64_t keyBytes = ceilDiv(lines.count * int64_t{sizeof(int32_t)}, 256) * 256;
  auto* memory =
      static_cast<std::byte*>(context.scratch(keyBytes + device::sortBytes(lines.count)));
  auto* keys = reinterpret_cast<int32_t*>(memory);
  forEach(context, lines.count, FindRows{tableRows(context, call, ids, lines.rows), keys});
  const auto sorted = device::sortKeys(context, keys, lines.count, lines.rows, memory + keyBytes);
  sumLines(context, *call.op, lines, sorted, dy, table, accumulate);
}

/// x[..., s, e] as [samples, s, e], and where its positions begin.
struct Positions {
  Positions(const KernelCall& call, const Shape& x) {
    const size_t sequence = x.size() - 2;
    first = rangeOf(call, sequence, x[sequence]).begin;
    elements = x[sequence] * x.back();
    features = x.back();
  }
  int64_t first, elements, features;
};

/// The rows of the table that the local positions use.
TensorView usedRows(const TensorView& table, const Positions& p) {
  TensorView used = table;
  used.data = table.as<std::byte>() + p.first * p.features * dtypeBytes(table.type.dtype);
  used.type.shape = {p.elements / std::max<int64_t>(1, p.features), p.features};
  if (used.type.shape[0] + p.first > table.type.shape[0])
    throw Error(ErrorKind::runtime,
                "positions go beyond the table of " + std::to_string(table.type.shape[0]),
                "use a shorter sequence");
  return used;
}

template <class T, class S, int N>
struct AddPositions {
  const T* x;
  const S* table;
  T* y;
  int64_t elements;

  __device__ void operator()(int64_t i) const {
    const int64_t at = i * N;
    auto sum = device::load<T, N>(x + at);
    const auto position = device::loadEach<S, N>(table + at % elements);
    for (int k = 0; k < N; ++k) sum.at[k] += Compute<T>(position.at[k]);
    device::store<T, N>(y + at, sum);
  }
};

void positionForward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Positions p(call, x.type.shape);
  const TensorView table = usedRows(call.inputs[1], p);
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    device::withElement(*call.op, table.type.dtype, [&](auto position) {
      using T = decltype(element);
      using S = decltype(position);
      const T* from = x.as<T>();
      T* to = static_cast<T*>(y.data);
      const S* positions = static_cast<const S*>(table.data);
      const int64_t count = x.type.elements();
      if (p.features % kPack<T> == 0)
        return forEach(context, count / kPack<T>,
                       AddPositions<T, S, kPack<T>>{from, positions, to, p.elements});
      forEach(context, count, AddPositions<T, S, 1>{from, positions, to, p.elements});
    });
  });
}

void passOn(CudaContext& context, const TensorView& from, const TensorView& to, bool accumulate) {
  if (accumulate)
    return addElements(context, to.data, from.data, to.type.elements(), to.type.dtype);
  context.check(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(to.type.bytes().value),
                                cudaMemcpyDeviceToDevice, context.stream()),
                "cudaMemcpyAsync");
}

void positionBackward(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  size_t output = 0;
  if (const TensorView* dx = call.inputGradient(0, &output))
    passOn(context, dy, *dx, call.accumulates(output));
  const TensorView* table = call.inputGradient(1, &output);
  if (!table) return;
  const bool accumulate = call.accumulates(output);
  if (!accumulate) clear(context, *table);
  sumRows(context, *call.op, dy, usedRows(*table, Positions(call, dy.type.shape)), accumulate);
}

bool passesType(const KernelCall& call) {
  if (!call.isGradient()) return true;
  const TensorView* dx = call.inputGradient(0);
  return !dx || dx->type.dtype == call.outputGradient(0)->type.dtype;
}

constexpr CudaKernels kKernels[] = {
    {"Embedding", embeddingForward, embeddingBackward, true},
    {"PositionEmbedding", positionForward, positionBackward, true, passesType},
    {"RelativeBias", device::relativeBias, device::relativeBiasGradient, false,
     device::takesRelativeBias},
};

}  // namespace

std::span<const CudaKernels> cudaEmbeddingKernels() {
  return kKernels;
}

}  // namespace meshplan
