// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/ordered_reduction.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "backend/bfloat16.h"
#include "backend/half.h"
#include "core/error.h"

namespace meshplan {
namespace {

struct Sum {
  template <class T>
  static T combine(T a, T b) {
    return a + b;
  }
};
struct Max {
  template <class T>
  static T combine(T a, T b) {
    return a < b || b != b ? b : a;
  }
};

// Small enough for the first-level cache together with the pieces that are read and written.
constexpr int64_t kPiece = 1024;

template <class T, class Acc, class Op>
void reducePiece(std::span<const void* const> parts, std::span<void* const> outputs, int64_t begin,
                 int64_t count) {
  Acc acc[kPiece];
  const T* first = static_cast<const T*>(parts[0]) + begin;
  for (int64_t i = 0; i < count; ++i) acc[i] = Acc(first[i]);
  for (size_t p = 1; p < parts.size(); ++p) {
    const T* part = static_cast<const T*>(parts[p]) + begin;
    for (int64_t i = 0; i < count; ++i) acc[i] = Op::combine(acc[i], Acc(part[i]));
  }
  T* out = static_cast<T*>(outputs[0]) + begin;
  for (int64_t i = 0; i < count; ++i) out[i] = T(acc[i]);
  for (size_t o = 1; o < outputs.size(); ++o)
    std::memcpy(static_cast<T*>(outputs[o]) + begin, out, size_t(count) * sizeof(T));
}

template <class T, class Acc, class Op>
void reduceAll(std::span<const void* const> parts, std::span<void* const> outputs, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += kPiece)
    reducePiece<T, Acc, Op>(parts, outputs, begin, std::min(kPiece, count - begin));
}

template <class T, class Acc>
void reduceAs(std::span<const void* const> parts, std::span<void* const> outputs, int64_t count,
              ReduceOp op) {
  if (parts.size() == 1 && outputs.size() == 1 && parts[0] == outputs[0]) return;
  if (op == ReduceOp::sum)
    reduceAll<T, Acc, Sum>(parts, outputs, count);
  else
    reduceAll<T, Acc, Max>(parts, outputs, count);
}

}  // namespace

bool canReduce(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::tf32 || type == DType::bf16 ||
         type == DType::f16;
}

void reduceInOrder(std::span<const void* const> parts, std::span<void* const> outputs,
                   int64_t count, DType type, ReduceOp op) {
  switch (type) {
    case DType::f64:
      return reduceAs<double, double>(parts, outputs, count, op);
    case DType::f32:
    case DType::tf32:
      return reduceAs<float, float>(parts, outputs, count, op);
    case DType::bf16:
      return reduceAs<BFloat16, float>(parts, outputs, count, op);
    case DType::f16:
      return reduceAs<Half, float>(parts, outputs, count, op);
    default:
      throw Error(ErrorKind::internal, fmt::format("a reduction of {}", dtypeName(type)));
  }
}

Share shareOf(int64_t count, int index, int size) {
  constexpr int64_t kBlock = 64;
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  const auto bound = [&](int64_t i) {
    return std::min(count, kBlock * (blocks / size * i + std::min<int64_t>(i, blocks % size)));
  };
  return {bound(index), bound(index + 1) - bound(index)};
}

}  // namespace meshplan
