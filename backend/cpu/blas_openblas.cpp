// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include "backend/cpu/onednn.h"

namespace meshplan {
namespace {

void useOneBlasThread() {
  [[maybe_unused]] static const bool done = (openblas_set_num_threads(1), true);
}

CBLAS_TRANSPOSE transposeOf(const Stored<double>& m) {
  return m.transposed ? CblasTrans : CblasNoTrans;
}

}  // namespace

void multiplyHere(const ProductExtents& e, double scale, Stored<double> a, Stored<double> b,
                  double keep, double* c, int64_t leading) {
  if (e.m == 0 || e.n == 0) return;
  useOneBlasThread();
  const auto blas = [](int64_t i) { return static_cast<blasint>(i); };
  cblas_dgemm(CblasRowMajor, transposeOf(a), transposeOf(b), blas(e.m), blas(e.n), blas(e.k), scale,
              a.data, blas(a.leading), b.data, blas(b.leading), keep, c, blas(leading));
}

std::string blasName() {
  return openblas_get_config();
}

}  // namespace meshplan
