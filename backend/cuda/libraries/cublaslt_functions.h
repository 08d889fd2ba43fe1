// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublasLt.h>

#include "backend/dynamic_library.h"

namespace meshplan {

/// What we call of cuBLASLt, opened at run time: cuBLASLt of CUDA 13, else of CUDA 12. Throws
/// Error(runtime) when there is none, or one older than 12.0.
struct CublasLtFunctions {
  CublasLtFunctions();

  DynamicLibrary library;
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusString) statusText;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulDescCreate) productCreate;
  decltype(&cublasLtMatmulDescDestroy) productDestroy;
  decltype(&cublasLtMatmulDescSetAttribute) productSet;
  decltype(&cublasLtMatrixLayoutCreate) layoutCreate;
  decltype(&cublasLtMatrixLayoutDestroy) layoutDestroy;
  decltype(&cublasLtMatrixLayoutSetAttribute) layoutSet;
  decltype(&cublasLtMatmulPreferenceCreate) preferenceCreate;
  decltype(&cublasLtMatmulPreferenceDestroy) preferenceDestroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preferenceSet;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmulAlgoCheck) algorithmCheck;
  std::string version;  // "13.1.0"
};

}  // namespace meshplan
