// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "core/attributes.h"
#include "core/tensor.h"

namespace meshplan {

namespace onnx {
class TensorProto;
}

/// The most elements of a tensor whose values are followed: shapes, axes, small index ranges.
inline constexpr int64_t kMaxKnownElements = 1024;

/// A small tensor with its values: in `floats` for floating types, else in `ints` (booleans are 0
/// and 1), row-major.
struct SmallTensor {
  TensorType type;
  std::vector<int64_t> ints;
  std::vector<double> floats;

  bool floating() const { return isFloating(type.dtype); }
  size_t size() const { return floating() ? floats.size() : ints.size(); }
  double number(size_t i) const { return floating() ? floats[i] : static_cast<double>(ints[i]); }
  int64_t integer(size_t i) const;
};

SmallTensor smallInts(std::vector<int64_t> values);  // rank 1, int64
SmallTensor smallScalar(DType dtype, double value);
/// The same values as another type.
SmallTensor castTo(const SmallTensor& value, DType dtype);

/// The values of a small initialiser or constant; nothing when they are external, too many, or not
/// numbers. Throws Error(input) when there are fewer values than the shape says.
std::optional<SmallTensor> readSmall(const onnx::TensorProto& tensor);

/// Whether the last two dimensions are equal and the values that are in reach say that each row is
/// visible up to its diagonal: the mask of causal attention.
bool isLowerTriangular(const onnx::TensorProto& tensor);

/// The result of an elementwise, movement or reduction operator on known values, by its ONNX name
/// with attributes and inputs as in the latest opset, for the operators that shape computations
/// use; nothing for any other or when the result is too large.
std::optional<SmallTensor> foldSmall(std::string_view op, const Attributes& attributes,
                                     std::span<const SmallTensor* const> inputs);

}  // namespace meshplan
