// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include "backend/cpu/blas.h"

namespace meshplan {
namespace {

void useOneBlasThread() {
  [[maybe_unused]] static const bool done = (openblas_set_num_threads(1), true);
}

CBLAS_TRANSPOSE transposeOf(const BlasMatrix& m) {
  return m.transposed ? CblasTrans : CblasNoTrans;
}

}  // namespace

void multiplyBlas(int64_t m, int64_t n, int64_t k, double scale, const BlasMatrix& a,
                  const BlasMatrix& b, double keep, double* c, int64_t leading) {
  useOneBlasThread();
  const auto blas = [](int64_t i) { return static_cast<blasint>(i); };
  cblas_dgemm(CblasRowMajor, transposeOf(a), transposeOf(b), blas(m), blas(n), blas(k), scale,
              a.data, blas(a.leading), b.data, blas(b.leading), keep, c, blas(leading));
}

std::string blasName() {
  return openblas_get_config();
}

}  // namespace meshplan
