// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

/// Numbers of any floating type, for kernels that read or write few of them beside their tensors.
namespace meshplan::device {

class AnyFloats {
 public:
  explicit AnyFloats(const TensorView& view) : data_(view.data), type_(view.type.dtype) {}

  /// Element i as float or double.
  template <class A>
  __device__ A get(int64_t i) const {
    switch (type_) {
      case DType::f64:
        return A(static_cast<const double*>(data_)[i]);
      case DType::bf16:
        return A(float(static_cast<const BFloat16*>(data_)[i]));
      case DType::f16:
        return A(float(static_cast<const Half*>(data_)[i]));
      default:
        return A(static_cast<const float*>(data_)[i]);
    }
  }

 private:
  const void* data_;
  DType type_;
};

class AnyFloatTarget {
 public:
  /// Null: writes nothing.
  explicit AnyFloatTarget(const TensorView* view)
      : data_(view ? view->data : nullptr), type_(view ? view->type.dtype : DType::f32) {}

  __host__ __device__ bool wanted() const { return data_ != nullptr; }
  template <class A>
  __device__ void set(int64_t i, A value) const {
    if (!data_) return;
    switch (type_) {
      case DType::f64:
        static_cast<double*>(data_)[i] = static_cast<double>(value);
        return;
      case DType::bf16:
        static_cast<BFloat16*>(data_)[i] = BFloat16(static_cast<float>(value));
        return;
      case DType::f16:
        static_cast<Half*>(data_)[i] = Half(static_cast<float>(value));
        return;
      default:
        static_cast<float*>(data_)[i] = static_cast<float>(value);
    }
  }

 private:
  void* data_;
  DType type_;
};

}  // namespace meshplan::device
