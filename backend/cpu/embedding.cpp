// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/broadcast_gradient.h"
#include "backend/relative_buckets.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// The rows of the local table that ids name; -1 where another rank has the row. Negative ids count
/// from the end.
std::vector<int64_t> rowsOf(const KernelCall& call, const TensorView& ids, int64_t localRows) {
  const AxisRange vocabulary = rangeOf(call, ids.type.shape.size(), localRows);
  std::vector<int64_t> rows(static_cast<size_t>(ids.type.elements()));
  const int64_t* loaded = loadBlock(ids, 0, ids.type.elements(), rows.data());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t id = loaded[i] < 0 ? loaded[i] + vocabulary.whole : loaded[i];
    if (id < 0 || id >= vocabulary.whole)
      throw Error(ErrorKind::runtime,
                  "id " + std::to_string(loaded[i]) + " is outside the vocabulary of " +
                      std::to_string(vocabulary.whole),
                  "check the data")
          .at(call.op->name);
    const int64_t row = id - vocabulary.begin;
    rows[i] = row >= 0 && row < localRows ? row : -1;
  }
  return rows;
}

void embeddingForward(CpuContext& context, const KernelCall& call) {
  const TensorView &table = call.inputs[1], &y = call.outputs[0];
  const std::vector<int64_t> rows = rowsOf(call, call.inputs[0], table.type.shape[0]);
  const int64_t features = table.type.shape[1];
  const auto bytes = static_cast<size_t>(features * dtypeBytes(table.type.dtype));
  parallelRanges(context, static_cast<int64_t>(rows.size()), features,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     char* to = y.as<char>() + static_cast<size_t>(i) * bytes;
                     const int64_t row = rows[static_cast<size_t>(i)];
                     if (row < 0)
                       std::memset(to, 0, bytes);
                     else
                       std::memcpy(to, table.as<char>() + static_cast<size_t>(row) * bytes, bytes);
                   }
                 });
}

template <class A>
MESHPLAN_SIMD void addLine(A* __restrict sum, const A* __restrict x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum[i] += x[i];
}

/// Each thread adds to rows of its own, in the order of the ids.
template <class A>
void addRows(const CpuContext& context, const TensorView& dy, const std::vector<int64_t>& rows,
             A* sums, int64_t features) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t owners = count * features < kParallelElements ? 1 : context.threads();
  parallelRanges(context, owners, count * features, [&](int64_t begin, int64_t end) {
    std::vector<A> buffer(static_cast<size_t>(features));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = rows[static_cast<size_t>(i)];
      if (row < 0 || row % owners < begin || row % owners >= end) continue;
      addLine<A>(sums + row * features, loadBlock(dy, i * features, features, buffer.data()),
                 features);
    }
  });
}

void embeddingBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &ids = *call.forwardInput(0);
  size_t output = 0;
  const TensorView& table = *call.inputGradient(1, &output);
  const std::vector<int64_t> rows = rowsOf(call, ids, table.type.shape[0]);
  const int64_t features = table.type.shape[1], elements = table.type.elements();
  if (!call.accumulates(output)) fillZero(context, table);
  if (table.type.dtype == DType::f64)
    return addRows(context, dy, rows, table.as<double>(), features);
  if (table.type.dtype == DType::f32)
    return addRows(context, dy, rows, table.as<float>(), features);
  auto* sums = static_cast<float*>(context.scratch(static_cast<size_t>(elements) * sizeof(float)));
  loadBlock(table, 0, elements, sums);
  addRows(context, dy, rows, sums, features);
  storeBlock(table, 0, elements, sums);
}

/// x[..., s, e] as [samples, s, e], and where its positions begin.
struct Positions {
  Positions(const KernelCall& call, const Shape& x) {
    const size_t sequence = x.size() - 2;
    first = rangeOf(call, sequence, x[sequence]).begin;
    elements = x[sequence] * x.back();
    samples = elements == 0 ? 0 : elementCount(x) / elements;
    features = x.back();
  }
  int64_t first, elements, samples, features;
};

/// The rows of the table that the local positions use.
TensorView usedRows(const TensorView& table, const Positions& p) {
  TensorView used = table;
  used.data = table.as<char>() + p.first * p.features * dtypeBytes(table.type.dtype);
  used.type.shape = {p.elements / std::max<int64_t>(1, p.features), p.features};
  if (used.type.shape[0] + p.first > table.type.shape[0])
    throw Error(ErrorKind::runtime,
                "positions go beyond the table of " + std::to_string(table.type.shape[0]),
                "use a shorter sequence");
  return used;
}

void positionForward(CpuContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  const TensorView reads[] = {x, usedRows(call.inputs[1], Positions(call, x.type.shape))};
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, reads, call.outputs[0], 1, [](const A* const* in, A* y, int64_t n) {
      for (int64_t i = 0; i < n; ++i) y[i] = in[0][i] + in[1][i];
    });
  });
}

void positionBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  if (const TensorView* dx = call.inputGradient(0)) passGradient(context, dy, *dx);
  const TensorView* table = call.inputGradient(1);
  if (!table) return;
  fillZero(context, *table);
  passGradient(context, dy, usedRows(*table, Positions(call, dy.type.shape)));
}

void relativeBiasForward(CpuContext&, const KernelCall& call) {
  const TensorView &table = call.inputs[0], &y = call.outputs[0];
  const RelativeBuckets buckets(call.op->attributes, table.type.shape[0]);
  const Shape& s = y.type.shape;
  const int64_t heads = s[1], queries = s[2], keys = s[3];
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t q = 0; q < queries; ++q)
        for (int64_t k = 0; k < keys; ++k) {
          A buffer;
          const A* value = loadBlock(table, buckets.of(k - q) * heads + h, 1, &buffer);
          storeBlock(y, (h * queries + q) * keys + k, 1, value);
        }
  });
}

void relativeBiasBackward(CpuContext&, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &table = *call.inputGradient(0);
  const RelativeBuckets buckets(call.op->attributes, table.type.shape[0]);
  const Shape& s = dy.type.shape;
  const int64_t heads = s[1], queries = s[2], keys = s[3];
  std::vector<double> sums(static_cast<size_t>(table.type.elements()));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t q = 0; q < queries; ++q)
      for (int64_t k = 0; k < keys; ++k) {
        double buffer;
        sums[static_cast<size_t>(buckets.of(k - q) * heads + h)] +=
            *loadBlock(dy, (h * queries + q) * keys + k, 1, &buffer);
      }
  storeBlock(table, 0, table.type.elements(), sums.data());
}

constexpr CpuKernels kKernels[] = {
    {"Embedding", embeddingForward, embeddingBackward, true},
    {"PositionEmbedding", positionForward, positionBackward},
    {"RelativeBias", relativeBiasForward, relativeBiasBackward},
};

}  // namespace

std::span<const CpuKernels> embeddingKernels() {
  return kKernels;
}

}  // namespace meshplan
