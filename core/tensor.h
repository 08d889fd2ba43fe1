// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.h"

namespace meshplan {

enum class DType : uint8_t { f64, f32, tf32, f16, bf16, f8, i64, i32, i16, i8, i4, u8, boolean };

/// Bytes of one element in memory (tf32 is stored as f32: 4; i4 rounds up to 1).
int64_t dtypeBytes(DType t);
bool isFloating(DType t);
std::string_view dtypeName(DType t);
/// Throws Error(usage) naming the known dtypes.
DType parseDType(std::string_view name);

/// Extents, outermost first. Rank 0 is a scalar. Every extent is >= 0.
using Shape = std::vector<int64_t>;

/// Product of the extents; throws Error(input) when it overflows or an extent is negative.
int64_t elementCount(const Shape& shape);
std::string shapeText(const Shape& shape);  // "[8,2048,4096]"

struct TensorType {
  DType dtype = DType::f32;
  Shape shape;

  bool operator==(const TensorType&) const = default;
  int64_t elements() const { return elementCount(shape); }
  Bytes bytes() const { return Bytes(checkedMul(elements(), dtypeBytes(dtype))); }
};

}  // namespace meshplan
