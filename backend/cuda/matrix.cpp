// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/matrix.h"

#include <fmt/core.h>

#include <utility>

#include "backend/cuda/strided_sum.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// With c row-major.
MatrixProduct normalized(const MatrixProduct& p) {
  MatrixProduct n = p;
  n.a = plainStrides(p.a, p.extents.m, p.extents.k);
  n.b = plainStrides(p.b, p.extents.k, p.extents.n);
  n.c = plainStrides(p.c, p.extents.m, p.extents.n);
  if (n.c.column == 1) return n;
  if (p.bias || p.preActivation)
    throw Error(ErrorKind::internal, "a product with a bias is stored transposed");
  const Matrices left = n.a;
  n.a = n.b.transposed();
  n.b = left.transposed();
  n.c = n.c.transposed();
  n.sumsOfA = p.columnSums != nullptr;
  std::swap(n.extents.m, n.extents.n);
  return n;
}

/// c = scale * what lies at those strides, 0 for `from` null.
void fill(CudaContext& context, const MatrixProduct& p, const void* from) {
  const ProductExtents& e = p.extents;
  StridedSum s;
  s.dims = {{e.batch, p.biasStride, p.c.batch}, {e.m, 0, p.c.row}, {e.n, 1, p.c.column}};
  s.from = from ? from : p.c.data;
  s.fromType = s.toType = p.c.dtype;
  s.to = p.c.data;
  if (!from) s.summed = {{0, 0}};
  stridedSum(context, s);
}

/// A product of nothing.
void fillEmpty(CudaContext& context, const MatrixProduct& p) {
  if (p.epilogue != MatrixEpilogue::none || p.columnSums)
    throw Error(ErrorKind::internal, "an empty product has an epilogue");
  if (!p.accumulate) fill(context, p, p.bias);
}

}  // namespace

std::string productText(const MatrixProduct& p) {
  const ProductExtents& e = p.extents;
  std::string text = fmt::format("{} x {} x {}", e.m, e.n, e.k);
  if (e.batch != 1) text = fmt::format("{} of {}", e.batch, text);
  text += fmt::format(" {}", dtypeName(p.a.dtype));
  return p.c.dtype == p.a.dtype ? text : text + fmt::format(" -> {}", dtypeName(p.c.dtype));
}

bool multiplyFused(CudaContext& context, const MatrixProduct& p) {
  const ProductExtents& e = p.extents;
  if (e.m == 0 || e.n == 0 || e.k == 0 || e.batch == 0) return false;
  return multiplyInLibrary(context, normalized(p));
}

void multiply(CudaContext& context, const MatrixProduct& p) {
  const ProductExtents& e = p.extents;
  if (e.m == 0 || e.n == 0 || e.batch == 0) return;
  if (e.k == 0) return fillEmpty(context, p);
  MatrixProduct rest = normalized(p);
  if (multiplyInLibrary(context, rest)) return;
  if (p.bias && p.epilogue == MatrixEpilogue::none && !p.columnSums) {
    fill(context, p, p.bias);
    rest.bias = nullptr;
    rest.accumulate = true;
    if (multiplyInLibrary(context, rest)) return;
  }
  throw Error(
      ErrorKind::runtime,
      fmt::format("{} has no algorithm for the product {}", matrixLibrary(context), productText(p)),
      "use another precision or another split of the operator");
}

}  // namespace meshplan
