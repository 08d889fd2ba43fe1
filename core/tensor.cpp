// SPDX-License-Identifier: Apache-2.0
#include "core/tensor.h"

#include <array>

#include "core/error.h"

namespace meshplan {
namespace {

struct DTypeRow {
  DType type;
  std::string_view name;
  int64_t bytes;
  bool floating;
};

constexpr std::array<DTypeRow, 13> kDTypes{{{DType::f64, "fp64", 8, true},
                                            {DType::f32, "fp32", 4, true},
                                            {DType::tf32, "tf32", 4, true},
                                            {DType::f16, "fp16", 2, true},
                                            {DType::bf16, "bf16", 2, true},
                                            {DType::f8, "fp8", 1, true},
                                            {DType::i64, "int64", 8, false},
                                            {DType::i32, "int32", 4, false},
                                            {DType::i16, "int16", 2, false},
                                            {DType::i8, "int8", 1, false},
                                            {DType::i4, "int4", 1, false},
                                            {DType::u8, "uint8", 1, false},
                                            {DType::boolean, "bool", 1, false}}};

const DTypeRow& row(DType t) {
  return kDTypes[static_cast<size_t>(t)];
}

}  // namespace

int64_t dtypeBytes(DType t) {
  return row(t).bytes;
}
bool isFloating(DType t) {
  return row(t).floating;
}
std::string_view dtypeName(DType t) {
  return row(t).name;
}

DType parseDType(std::string_view name) {
  std::string known;
  for (const DTypeRow& r : kDTypes) {
    if (r.name == name) return r.type;
    known += (known.empty() ? "" : ", ") + std::string(r.name);
  }
  throw Error(ErrorKind::usage, "unknown dtype '" + std::string(name) + "'", "one of " + known);
}

int64_t elementCount(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    if (d < 0)
      throw Error(ErrorKind::input, "a dimension is negative in shape " + shapeText(shape),
                  "dimensions must be 0 or more");
    n = checkedMul(n, d);
  }
  return n;
}

std::string shapeText(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace meshplan
