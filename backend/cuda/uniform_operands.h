// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// The tensors of an elementwise kernel in one dtype: as they are where they agree; else converted
/// beside, to fp64 if one is, else to fp32 if one is floating, else to i64.
class UniformOperands {
 public:
  /// Unless `convertsOut`, kernels write elements of `out`'s own dtype whatever they read.
  UniformOperands(CudaContext& context, std::span<const TensorView> inputs, const TensorView& out,
                  bool convertsOut = true);

  DType dtype() const { return dtype_; }
  const TensorView& in(size_t i) const { return inputs_[i]; }
  const TensorView& out() const { return out_; }
  /// To be called once `out` is written.
  void finish();

  /// Memory beside for `type`; every purpose from 0 on is another place.
  static TensorView beside(CudaContext& context, const TensorType& type, int purpose);

 private:
  CudaContext& context_;
  std::vector<TensorView> inputs_;
  TensorView out_, wanted_;
  DType dtype_ = DType::f32;
};

}  // namespace meshplan
