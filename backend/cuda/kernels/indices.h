// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "backend/cuda/cuda_context.h"
#include "core/error.h"

namespace meshplan::device {

/// A tensor of integers (int64, int32 or uint8) as a kernel reads it.
struct Indices {
  const void* data;
  int bytes;

  __device__ int64_t operator[](int64_t i) const {
    if (bytes == 8) return static_cast<const int64_t*>(data)[i];
    if (bytes == 4) return static_cast<const int32_t*>(data)[i];
    return static_cast<const uint8_t*>(data)[i];
  }
};

/// Error(runtime) naming the operator for other dtypes.
inline Indices indicesOf(const Operator& op, const TensorView& view) {
  switch (view.type.dtype) {
    case DType::i64:
      return {view.data, 8};
    case DType::i32:
      return {view.data, 4};
    case DType::u8:
      return {view.data, 1};
    default:
      throw Error(
          ErrorKind::runtime,
          "the GPU does not index with elements of " + std::string(dtypeName(view.type.dtype)),
          "use int64 or int32")
          .at(op.name);
  }
}

/// Tells CudaContext::finishStep of an index outside [0, size): the first that some thread meets.
struct IndexCheck {
  IndexCheck(CudaContext& context, const Operator& op, const char* meant, int64_t end)
      : wrong(&context.stepValues()->wrong),
        name(context.lasting(op.name)),
        what(meant),
        size(end) {}

  WrongIndex* wrong;
  const char *name, *what;
  int64_t size;

  __device__ bool operator()(int64_t index) const {
    const bool fits = index >= 0 && index < size;
    if (!fits) tell(index);
    return fits;
  }
  __device__ void tell(int64_t index) const {
    if (atomicAdd(&wrong->count, 1u) != 0) return;
    wrong->op = name;
    wrong->what = what;
    wrong->index = index;
    wrong->size = size;
  }
};

}  // namespace meshplan::device
