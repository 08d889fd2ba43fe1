// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/libraries/cublaslt_functions.h"

#include "backend/gpu_libraries.h"

namespace meshplan {
namespace {

constexpr int64_t kLeast = 120000;

}  // namespace

CublasLtFunctions::CublasLtFunctions()
    : library(cublasLtNames()),
      create(MESHPLAN_SYMBOL(library, cublasLtCreate)),
      destroy(MESHPLAN_SYMBOL(library, cublasLtDestroy)),
      statusText(MESHPLAN_SYMBOL(library, cublasLtGetStatusString)),
      matmul(MESHPLAN_SYMBOL(library, cublasLtMatmul)),
      productCreate(MESHPLAN_SYMBOL(library, cublasLtMatmulDescCreate)),
      productDestroy(MESHPLAN_SYMBOL(library, cublasLtMatmulDescDestroy)),
      productSet(MESHPLAN_SYMBOL(library, cublasLtMatmulDescSetAttribute)),
      layoutCreate(MESHPLAN_SYMBOL(library, cublasLtMatrixLayoutCreate)),
      layoutDestroy(MESHPLAN_SYMBOL(library, cublasLtMatrixLayoutDestroy)),
      layoutSet(MESHPLAN_SYMBOL(library, cublasLtMatrixLayoutSetAttribute)),
      preferenceCreate(MESHPLAN_SYMBOL(library, cublasLtMatmulPreferenceCreate)),
      preferenceDestroy(MESHPLAN_SYMBOL(library, cublasLtMatmulPreferenceDestroy)),
      preferenceSet(MESHPLAN_SYMBOL(library, cublasLtMatmulPreferenceSetAttribute)),
      heuristic(MESHPLAN_SYMBOL(library, cublasLtMatmulAlgoGetHeuristic)),
      algorithmCheck(MESHPLAN_SYMBOL(library, cublasLtMatmulAlgoCheck)) {
  const auto found = static_cast<int64_t>(MESHPLAN_SYMBOL(library, cublasLtGetVersion)());
  library.requireVersion(found, kLeast);
  version = libraryVersionText(found);
}

}  // namespace meshplan
