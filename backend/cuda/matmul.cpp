// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/matmul.h"

#include <algorithm>

namespace meshplan {
namespace {

using Repeats = std::vector<RepeatedProduct>;

/// Without extents of 1, neighbours joined where all three operands continue.
Repeats collapsed(const Repeats& repeats) {
  Repeats result;
  for (RepeatedProduct r : repeats) {
    if (r.extent == 1) continue;
    if (!result.empty()) {
      const RepeatedProduct& outer = result.back();
      if (outer.a == r.extent * r.a && outer.b == r.extent * r.b && outer.c == r.extent * r.c) {
        r.extent *= outer.extent;
        result.back() = r;
        continue;
      }
    }
    result.push_back(r);
  }
  return result;
}

/// Makes a dimension part of the matrices: rows that go on for one b, or columns of a and rows of b
/// whose products add up.
bool absorb(MatrixProduct& p, const RepeatedProduct& r) {
  ProductExtents& e = p.extents;
  if (e.batch != 1 || p.bias) return false;
  if (r.b == 0 && r.a == e.m * p.a.row && r.c == e.m * p.c.row) {
    e.m *= r.extent;
    return true;
  }
  if (r.c == 0 && r.a == e.k * p.a.column && r.b == e.k * p.b.row) {
    e.k *= r.extent;
    return true;
  }
  return false;
}

void absorbAll(MatrixProduct& p, Repeats& repeats) {
  for (bool found = true; found;) {
    const auto at = std::find_if(repeats.begin(), repeats.end(),
                                 [&](const RepeatedProduct& r) { return absorb(p, r); });
    found = at != repeats.end();
    if (found) repeats.erase(at);
  }
}

/// Takes the largest dimension that writes different matrices as the batch.
void takeBatch(MatrixProduct& p, Repeats& repeats) {
  auto best = repeats.end();
  for (auto r = repeats.begin(); r != repeats.end(); ++r)
    if (r->c != 0 && (best == repeats.end() || r->extent > best->extent)) best = r;
  if (best == repeats.end()) return;
  p.extents.batch = best->extent;
  p.a.batch = best->a;
  p.b.batch = best->b;
  p.c.batch = best->c;
  repeats.erase(best);
}

void multiplyNested(CudaContext& context, const MatrixProduct& p, const Repeats& repeats,
                    size_t depth) {
  if (depth == repeats.size()) return multiply(context, p);
  const RepeatedProduct& r = repeats[depth];
  for (int64_t i = 0; i < r.extent; ++i) {
    MatrixProduct one = p;
    one.a = p.a.from(i * r.a);
    one.b = p.b.from(i * r.b);
    one.c = p.c.from(i * r.c);
    one.accumulate = p.accumulate || (r.c == 0 && i > 0);
    multiplyNested(context, one, repeats, depth + 1);
  }
}

struct Layout {
  int64_t m = 1, n = 1, k = 1;
  Repeats repeats;
};

/// Elements from one index to the next of each of the result's leading dimensions.
std::vector<int64_t> leadStrides(const Shape& lead, size_t dims, int64_t elements) {
  std::vector<int64_t> strides(dims, 0);
  for (size_t i = 0; i < lead.size(); ++i) {
    const size_t from = lead.size() - 1 - i, to = dims - 1 - i;
    if (lead[from] != 1) strides[to] = elements;
    elements *= lead[from];
  }
  return strides;
}

Layout layoutOf(const Shape& a, const Shape& b, const Shape& y) {
  const int rows = a.size() > 1, columns = b.size() > 1;
  Layout l;
  l.k = a.back();
  if (rows) l.m = a[a.size() - 2];
  if (columns) l.n = b.back();
  const Shape lead(y.begin(), y.end() - rows - columns);
  const auto of = [&](const Shape& shape, int own, int64_t elements) {
    return leadStrides(Shape(shape.begin(), shape.end() - own), lead.size(), elements);
  };
  const auto strideA = of(a, 1 + rows, l.m * l.k), strideB = of(b, 1 + columns, l.k * l.n),
             strideC = of(y, rows + columns, l.m * l.n);
  for (size_t d = 0; d < lead.size(); ++d)
    l.repeats.push_back({lead[d], strideA[d], strideB[d], strideC[d]});
  return l;
}

/// The same repeats with the operands in another order.
template <class F>
Repeats mapped(const Repeats& repeats, F f) {
  Repeats result;
  for (const RepeatedProduct& r : repeats) result.push_back(f(r));
  return result;
}

}  // namespace

void multiplyRepeated(CudaContext& context, const MatrixProduct& product, Repeats repeats) {
  MatrixProduct p = product;
  for (RepeatedProduct& r : repeats) {
    if (r.extent != 0) continue;
    if (r.c != 0) return;
    r.extent = 1;  // sums of no products
    p.extents.k = 0;
  }
  repeats = collapsed(repeats);
  absorbAll(p, repeats);
  takeBatch(p, repeats);
  multiplyNested(context, p, repeats, 0);
}

void matmulOnGpu(CudaContext& context, const KernelCall& call) {
  const TensorView &a = call.inputs[0], &b = call.inputs[1], &y = call.outputs[0];
  const Layout l = layoutOf(a.type.shape, b.type.shape, y.type.shape);
  multiplyRepeated(context,
                   {.extents = {l.m, l.n, l.k},
                    .a = rowMajor(a, l.k),
                    .b = rowMajor(b, l.n),
                    .c = rowMajor(y, l.n)},
                   l.repeats);
}

void matmulGradientOnGpu(CudaContext& context, const KernelCall& call) {
  size_t atA = 0, atB = 0;
  const TensorView *da = call.inputGradient(0, &atA), *db = call.inputGradient(1, &atB);
  const TensorView& dy = *call.outputGradient(0);
  const TensorView *a = call.forwardInput(0), *b = call.forwardInput(1);
  const Layout l = layoutOf((a ? a : da)->type.shape, (b ? b : db)->type.shape, dy.type.shape);
  if (da)
    multiplyRepeated(context,
                     {.extents = {l.m, l.k, l.n},
                      .a = rowMajor(dy, l.n),
                      .b = rowMajor(*b, l.n).transposed(),
                      .c = rowMajor(*da, l.k),
                      .accumulate = call.accumulates(atA)},
                     mapped(l.repeats, [](const RepeatedProduct& r) {
                       return RepeatedProduct{r.extent, r.c, r.b, r.a};
                     }));
  if (db)
    multiplyRepeated(context,
                     {.extents = {l.k, l.n, l.m},
                      .a = rowMajor(*a, l.k).transposed(),
                      .b = rowMajor(dy, l.n),
                      .c = rowMajor(*db, l.n),
                      .accumulate = call.accumulates(atB)},
                     mapped(l.repeats, [](const RepeatedProduct& r) {
                       return RepeatedProduct{r.extent, r.a, r.c, r.b};
                     }));
}

}  // namespace meshplan
