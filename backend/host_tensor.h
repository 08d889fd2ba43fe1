// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/kernel.h"

namespace meshplan {

/// A dense row-major tensor that owns its memory, aligned to 64 bytes. Copies are deep. Elements
/// are zero after construction.
class HostTensor {
 public:
  HostTensor() = default;
  explicit HostTensor(TensorType type);
  HostTensor(const HostTensor& other);
  HostTensor(HostTensor&&) noexcept = default;
  HostTensor& operator=(const HostTensor& other);
  HostTensor& operator=(HostTensor&&) noexcept = default;

  const TensorType& type() const { return type_; }
  const Shape& shape() const { return type_.shape; }
  int64_t elements() const { return type_.elements(); }

  std::span<std::byte> bytes() { return {data(), size_}; }
  std::span<const std::byte> bytes() const { return {data(), size_}; }
  /// The elements; T must have the size of the dtype.
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data()), size_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data()), size_ / sizeof(T)};
  }
  /// What kernels read and write; valid while this object lives.
  TensorView view() const { return {data(), type_}; }
  /// The same bytes under another shape of equal element count; anything else throws
  /// Error(internal).
  void reshape(Shape shape);

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::byte* data() const;

  TensorType type_;
  size_t size_ = 0;
  std::unique_ptr<void, Free> allocation_;  // with room to begin at a multiple of 64
};

/// Elements as fp64 and back; 16-bit floats and integers included. Throws Error(input) for dtypes
/// without a plain element (f8, i4). Conversion to integers truncates.
std::vector<double> toDoubles(const HostTensor& tensor);
HostTensor fromDoubles(TensorType type, std::span<const double> values);

/// Elements converted to another dtype. From integers to integers exactly (modulo the width).
HostTensor converted(const HostTensor& tensor, DType to);

/// IEEE half as fp32 and back, rounding to nearest even.
float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value);

}  // namespace meshplan
