// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/matmul.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <vector>

#include "backend/cpu/product.h"

namespace meshplan {
namespace {

/// One operand of many products: the first's matrix and how many elements further the others lie.
struct Operand {
  Matrices first;
  std::vector<int64_t> offsets;

  /// The constant difference of the offsets.
  std::optional<int64_t> stride() const {
    const int64_t step = offsets.size() > 1 ? offsets[1] - offsets[0] : 0;
    for (size_t i = 1; i < offsets.size(); ++i)
      if (offsets[i] - offsets[i - 1] != step) return std::nullopt;
    return step;
  }
};

Matrices batched(const Operand& x, int64_t stride) {
  Matrices result = x.first;
  result.batch = stride;
  return result;
}

void multiplyEach(CpuContext& context, const ProductExtents& e, const Operand& a, const Operand& b,
                  const Operand& c, bool accumulate) {
  std::unordered_set<int64_t> written;
  for (size_t i = 0; i < c.offsets.size(); ++i) {
    const bool again = !written.insert(c.offsets[i]).second;
    multiply(context, e, a.first.from(a.offsets[i]), b.first.from(b.offsets[i]),
             c.first.from(c.offsets[i]), {.accumulate = accumulate || again});
  }
}

void multiplyAll(CpuContext& context, ProductExtents e, const Operand& a, const Operand& b,
                 const Operand& c, bool accumulate) {
  const auto count = static_cast<int64_t>(c.offsets.size());
  const auto strideA = a.stride(), strideB = b.stride(), strideC = c.stride();
  if (count == 0) return;
  if (!strideA || !strideB || !strideC) return multiplyEach(context, e, a, b, c, accumulate);
  const ProductOptions options{.accumulate = accumulate};
  if (*strideB == 0 && *strideA == e.m * a.first.row && *strideC == e.m * c.first.row) {
    e.m *= count;
    return multiply(context, e, a.first, b.first, c.first, options);
  }
  if (*strideC == 0 && *strideA == e.k * a.first.column && *strideB == e.k * b.first.row) {
    e.k *= count;
    return multiply(context, e, a.first, b.first, c.first, options);
  }
  if (*strideA == 0 || *strideB == 0 || *strideC == 0)
    return multiplyEach(context, e, a, b, c, accumulate);
  e.batch = count;
  multiply(context, e, batched(a, *strideA), batched(b, *strideB), batched(c, *strideC), options);
}

struct Layout {
  int64_t m = 1, n = 1, k = 1;
  std::vector<int64_t> offsetsA, offsetsB, offsetsY;
};

/// Offsets of the matrices of an operand with leading dimensions `lead`, each of `elements`, for
/// all indices of the result's leading dimensions.
std::vector<int64_t> offsetsOf(const Shape& lead, const Shape& result, int64_t elements) {
  std::vector<int64_t> strides(result.size(), 0), offsets{0};
  int64_t stride = elements;
  for (size_t i = 0; i < lead.size(); ++i) {
    const size_t from = lead.size() - 1 - i, to = result.size() - 1 - i;
    if (lead[from] != 1) strides[to] = stride;
    stride *= lead[from];
  }
  for (size_t d = 0; d < result.size(); ++d) {
    std::vector<int64_t> next;
    for (int64_t offset : offsets)
      for (int64_t i = 0; i < result[d]; ++i) next.push_back(offset + i * strides[d]);
    offsets = std::move(next);
  }
  return offsets;
}

Layout layoutOf(const Shape& a, const Shape& b, const Shape& y) {
  const bool rows = a.size() > 1, columns = b.size() > 1;
  Layout l;
  l.k = a.back();
  if (rows) l.m = a[a.size() - 2];
  if (columns) l.n = b.back();
  const Shape lead(y.begin(), y.end() - (rows ? 1 : 0) - (columns ? 1 : 0));
  l.offsetsA = offsetsOf(Shape(a.begin(), a.end() - (rows ? 2 : 1)), lead, l.m * l.k);
  l.offsetsB = offsetsOf(Shape(b.begin(), b.end() - (columns ? 2 : 1)), lead, l.k * l.n);
  l.offsetsY = offsetsOf(lead, lead, l.m * l.n);
  return l;
}

}  // namespace

void matmul(CpuContext& context, const KernelCall& call) {
  const TensorView &a = call.inputs[0], &b = call.inputs[1], &y = call.outputs[0];
  const Layout l = layoutOf(a.type.shape, b.type.shape, y.type.shape);
  multiplyAll(context, {l.m, l.n, l.k}, {rowMajor(a, l.k), l.offsetsA},
              {rowMajor(b, l.n), l.offsetsB}, {rowMajor(y, l.n), l.offsetsY}, false);
}

void matmulGradient(CpuContext& context, const KernelCall& call) {
  size_t atA = 0, atB = 0;
  const TensorView *da = call.inputGradient(0, &atA), *db = call.inputGradient(1, &atB);
  const TensorView& dy = *call.outputGradient(0);
  const TensorView *a = call.forwardInput(0), *b = call.forwardInput(1);
  const Layout l = layoutOf((a ? a : da)->type.shape, (b ? b : db)->type.shape, dy.type.shape);
  const Operand incoming{rowMajor(dy, l.n), l.offsetsY};
  if (da)
    multiplyAll(context, {l.m, l.k, l.n}, incoming, {rowMajor(*b, l.n).transposed(), l.offsetsB},
                {rowMajor(*da, l.k), l.offsetsA}, call.accumulates(atA));
  if (db)
    multiplyAll(context, {l.k, l.n, l.m}, {rowMajor(*a, l.k).transposed(), l.offsetsA}, incoming,
                {rowMajor(*db, l.n), l.offsetsB}, call.accumulates(atB));
}

}  // namespace meshplan
