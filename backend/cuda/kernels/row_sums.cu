// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/broadcast_gradient.cpp.
#include "backend/cuda/row_sums.h"

#include "backend/cuda/kernels/column_sums.h"

namespace meshplan {
namespace {

using device::PlainColumns;

struct Matrix {
  int64_t groups, rows, n;
};

template <class T, class A>
void sumAs(CudaContext& context, const Operator& op, const Matrix& m, const TensorView& from,
           const TensorView& to, bool accumulate) {
  const TensorView targets[] = {to};
  const bool accumulates[] = {accumulate};
  const auto sum = [&](auto source) {
    device::columnSums(context, op, source, m.groups, m.rows, m.n, targets, accumulates);
  };
  if (m.n % device::kPack<T> == 0)
    sum(PlainColumns<T, A, device::kPack<T>>{from.as<T>(), m.n});
  else
    sum(PlainColumns<T, A, 1>{from.as<T>(), m.n});
}

}  // namespace

void sumRows(CudaContext& context, const Operator& op, const TensorView& from, const TensorView& to,
             bool accumulate, int64_t groups) {
  const int64_t elements = to.type.elements();
  if (elements == 0) return;
  const Matrix m{groups, from.type.elements() / elements, elements / groups};
  device::withElement(op, from.type.dtype, [&](auto element) {
    using T = decltype(element);
    if (to.type.dtype == DType::f64)
      sumAs<T, double>(context, op, m, from, to, accumulate);
    else
      sumAs<T, device::Compute<T>>(context, op, m, from, to, accumulate);
  });
}

}  // namespace meshplan
