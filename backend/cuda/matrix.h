// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "backend/cpu/product.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// What a product does with x = scale a b + bias before it is rounded and stored. gelu is the tanh
/// form.
enum class MatrixEpilogue { none, relu, gelu };

/// One product, or a batch of them, on the GPU: c[i] (+)= scale a[i] b[i] + bias, of matrices m x k
/// and k x n as in backend/cpu/product.h (transposed ones by their strides; a batch stride of 0
/// repeats a or b). a and b share a dtype: fp64 (summed in fp64), fp32, bf16 or fp16 (summed in
/// fp32), and c has it too or is fp32. Everything is rounded once, at the end.
struct MatrixProduct {
  ProductExtents extents;
  Matrices a, b, c;
  bool accumulate = false;  // add to c; then without bias and epilogue
  double scale = 1;         // of the product, not of the bias

  /// n elements of c's dtype, added to every row; `biasStride` elements further for each matrix of
  /// the batch.
  const void* bias = nullptr;
  int64_t biasStride = 0;
  MatrixEpilogue epilogue = MatrixEpilogue::none;
  /// Receives x, dense [m, n] of c's dtype, for the gradient of gelu; n a multiple of 8.
  void* preActivation = nullptr;
  /// Receives the column sums of b, n elements of c's dtype: the gradient of a bias beside that of
  /// a weight. One product, without bias and epilogue; c may be added to, the sums are not.
  void* columnSums = nullptr;
  /// For multiplyInLibrary: `columnSums` are the m row sums of a.
  bool sumsOfA = false;
};

/// "64 x 32 x 16 bf16 -> f32": what messages and keys call a product.
std::string productText(const MatrixProduct& product);

/// Enqueues the product. Equal products on equal devices with equal choices give equal bits. A bias
/// is always possible; of an epilogue ask multiplyFused first. Throws Error(runtime) naming the
/// shape when the library has no algorithm.
void multiply(CudaContext& context, const MatrixProduct& product);
/// False, with nothing enqueued, when the library does not offer this product with this epilogue,
/// or it is empty.
bool multiplyFused(CudaContext& context, const MatrixProduct& product);

/// How products are computed by this context: `context.kept<MatrixSettings>()`.
struct MatrixSettings {
  explicit MatrixSettings(CudaContext&) {}
  /// Multiply fp32 (Precision::tf32) in tf32.
  bool tf32 = false;
  /// Time candidates when a product is new; otherwise the library's favourite is taken, so that two
  /// runs without kept choices give equal bits.
  bool timesCandidates = true;
};

// What a library of products has to do; backend/cuda/libraries/cublaslt.cpp is the one.

/// Runs a product whose extents are above 0 and whose c is row-major (column stride 1). False, with
/// nothing enqueued, when the library has no algorithm for it.
bool multiplyInLibrary(CudaContext& context, const MatrixProduct& product);
/// "cuBLASLt 13.1.0", opened if it is not. Throws Error(runtime) when it cannot be.
std::string matrixLibrary(CudaContext& context);

}  // namespace meshplan
