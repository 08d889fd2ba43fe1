// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend/cpu/strided.h"
#include "backend/cuda/cuda_context.h"

/// What operators that move and add elements are made of, as on the processor
/// (backend/cpu/strided.h and reduce.h), on the stream in use. At most eight dimensions that cannot
/// be merged; more throw Error(runtime).
namespace meshplan {

/// Copies elements, converting where the tensors' dtypes differ; no place of `to` may occur twice.
void copyBox(CudaContext& context, const StridedBox& box, const TensorView& from,
             const TensorView& to);
void copyBoxes(CudaContext& context, std::span<const BoxCopy> copies);

/// Sums floating elements of `from` over the dimensions of stride 0 in `to`, in fp32 or fp64, times
/// `factor`; other places of `to` stay as they are. The dtypes may differ. The order of additions
/// follows from the shapes and the GPU alone.
void sumBox(CudaContext& context, const StridedBox& box, const TensorView& from,
            const TensorView& to, double factor = 1);

void fillZero(CudaContext& context, const TensorView& tensor);

/// Elements of `from` as the dtype of `to`, which has as many. By way of fp64 if either is, else of
/// fp32 if either is floating, else of int64.
void castElements(CudaContext& context, const TensorView& from, const TensorView& to);
/// False for dtypes whose elements have no kernels: 8-bit floats and 4-bit integers.
bool isConverted(DType dtype);

}  // namespace meshplan
