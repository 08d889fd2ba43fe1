// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/strided.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kSide = 32;

void reorder(StridedBox& box, const std::vector<size_t>& order) {
  StridedBox sorted;
  for (size_t d : order) sorted.add(box.extents[d], box.from[d], box.to[d]);
  sorted.fromOffset = box.fromOffset;
  sorted.toOffset = box.toOffset;
  box = std::move(sorted);
}

/// The dimensions of a box but the last `inner`, walked like the rows of a table.
class RowWalk {
 public:
  RowWalk(const StridedBox& box, size_t inner)
      : box_(box),
        rank_(box.extents.size() - inner),
        index_(rank_),
        from_(box.fromOffset),
        to_(box.toOffset) {}

  int64_t rows() const {
    return std::accumulate(box_.extents.begin(),
                           box_.extents.begin() + static_cast<std::ptrdiff_t>(rank_), int64_t{1},
                           std::multiplies<>());
  }
  int64_t from() const { return from_; }
  int64_t to() const { return to_; }

  void seek(int64_t row) {
    from_ = box_.fromOffset;
    to_ = box_.toOffset;
    for (size_t d = rank_; d-- > 0;) {
      index_[d] = row % box_.extents[d];
      row /= box_.extents[d];
      from_ += index_[d] * box_.from[d];
      to_ += index_[d] * box_.to[d];
    }
  }

  void next() {
    for (size_t d = rank_; d-- > 0;) {
      const bool wraps = ++index_[d] == box_.extents[d];
      const int64_t steps = wraps ? 1 - box_.extents[d] : 1;
      from_ += steps * box_.from[d];
      to_ += steps * box_.to[d];
      if (!wraps) return;
      index_[d] = 0;
    }
  }

 private:
  const StridedBox& box_;
  size_t rank_;
  std::vector<int64_t> index_;
  int64_t from_, to_;
};

template <class F>
void forRows(const CpuContext& context, const StridedBox& box, size_t inner, int64_t perRow,
             F&& f) {
  parallelRanges(context, RowWalk(box, inner).rows(), perRow, [&](int64_t begin, int64_t end) {
    RowWalk walk(box, inner);
    walk.seek(begin);
    for (int64_t row = begin; row < end; ++row) {
      f(walk.from(), walk.to());
      if (row + 1 < end) walk.next();
    }
  });
}

template <class From, class To>
void copyLines(const CpuContext& context, const StridedBox& box, const From* from, To* to) {
  const int64_t n = box.extents.back(), f = box.from.back(), t = box.to.back();
  forRows(context, box, 1, n, [&](int64_t fromAt, int64_t toAt) {
    for (int64_t i = 0; i < n; ++i) to[toAt + i * t] = castElement<From, To>(from[fromAt + i * f]);
  });
}

template <class T>
void copyRuns(const CpuContext& context, const StridedBox& box, const T* from, T* to) {
  const int64_t n = box.extents.back();
  if (box.extents.size() == 1) {
    parallelRanges(context, n, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(to + box.toOffset + begin, from + box.fromOffset + begin,
                  static_cast<size_t>(end - begin) * sizeof(T));
    });
    return;
  }
  forRows(context, box, 1, n, [&](int64_t fromAt, int64_t toAt) {
    std::memcpy(to + toAt, from + fromAt, static_cast<size_t>(n) * sizeof(T));
  });
}

/// to[i, j] = from[j, i] through a square in the first-level cache, so that lines of either side
/// are used whole at once (strides that are powers of two would evict each other).
template <class T>
MESHPLAN_SIMD void transposeSquare(const T* __restrict from, int64_t fromStride, T* __restrict to,
                                   int64_t toStride, int64_t m, int64_t n) {
  T square[kSide][kSide];
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < m; ++i) square[j][i] = from[j * fromStride + i];
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) to[i * toStride + j] = square[j][i];
}

/// The last two dimensions trade places.
template <class T>
void copyTransposed(const CpuContext& context, const StridedBox& box, const T* from, T* to) {
  const size_t r = box.extents.size() - 2;
  const int64_t m = box.extents[r], n = box.extents[r + 1], fromStride = box.from[r + 1];
  const int64_t strip = std::min(m, kSide), count = ceilDiv(m, strip);
  const int64_t all = RowWalk(box, 2).rows() * count;
  parallelRanges(context, all, strip * n, [&](int64_t begin, int64_t end) {
    RowWalk walk(box, 2);
    for (int64_t at = begin; at < end; ++at) {
      if (at == begin || at % count == 0) walk.seek(at / count);
      const int64_t i = at % count * strip;
      for (int64_t j = 0; j < n; j += kSide)
        transposeSquare(from + walk.from() + i + j * fromStride, fromStride,
                        to + walk.to() + i * box.to[r] + j, box.to[r], std::min(strip, m - i),
                        std::min(kSide, n - j));
    }
  });
}

/// Moves the dimension that `from` walks densely next to the innermost one, so that the two make
/// squares; false where there is none worth it.
bool bringTogether(StridedBox& box) {
  const size_t last = box.extents.size() - 1;
  if (last == 0 || box.to[last] != 1) return false;
  for (size_t d = 0; d < last; ++d) {
    if (box.from[d] != 1 || box.extents[d] < 4 || box.extents[last] < 4) continue;
    std::vector<size_t> order;
    for (size_t i = 0; i < last; ++i)
      if (i != d) order.push_back(i);
    order.push_back(d);
    order.push_back(last);
    reorder(box, order);
    return true;
  }
  return false;
}

template <class T>
void copyElements(const CpuContext& context, StridedBox& box, const void* from, void* to) {
  const T* source = static_cast<const T*>(from);
  T* target = static_cast<T*>(to);
  if (box.from.back() == 1 && box.to.back() == 1) return copyRuns(context, box, source, target);
  if (bringTogether(box)) return copyTransposed(context, box, source, target);
  copyLines(context, box, source, target);
}

bool isEmpty(const StridedBox& box) {
  return std::find(box.extents.begin(), box.extents.end(), 0) != box.extents.end();
}

}  // namespace

void StridedBox::simplify() {
  std::vector<size_t> order;
  for (size_t d = 0; d < extents.size(); ++d)
    if (extents[d] != 1) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::abs(to[a]) > std::abs(to[b]); });
  reorder(*this, order);
  StridedBox merged;
  for (size_t d = 0; d < extents.size(); ++d) {
    const bool follows = !merged.extents.empty() && merged.from.back() == from[d] * extents[d] &&
                         merged.to.back() == to[d] * extents[d];
    if (!follows) {
      merged.add(extents[d], from[d], to[d]);
      continue;
    }
    merged.extents.back() *= extents[d];
    merged.from.back() = from[d];
    merged.to.back() = to[d];
  }
  if (merged.extents.empty()) merged.add(1, 1, 1);
  merged.fromOffset = fromOffset;
  merged.toOffset = toOffset;
  *this = std::move(merged);
}

std::vector<int64_t> denseStrides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

void copyBox(const CpuContext& context, StridedBox box, const void* from, void* to,
             int64_t elementBytes) {
  if (isEmpty(box)) return;
  box.simplify();
  if (elementBytes == 1) return copyElements<uint8_t>(context, box, from, to);
  if (elementBytes == 2) return copyElements<uint16_t>(context, box, from, to);
  if (elementBytes == 4) return copyElements<uint32_t>(context, box, from, to);
  copyElements<uint64_t>(context, box, from, to);
}

void copyBox(const CpuContext& context, const StridedBox& box, const TensorView& from,
             const TensorView& to) {
  const DType a = from.type.dtype, b = to.type.dtype;
  if (a == b) return copyBox(context, box, from.data, to.data, dtypeBytes(a));
  if (isEmpty(box)) return;
  StridedBox simple = box;
  simple.simplify();
  if (a == DType::bf16 && b == DType::f32)
    return copyLines(context, simple, from.as<BFloat16>(), to.as<float>());
  if (a == DType::f32 && b == DType::bf16)
    return copyLines(context, simple, from.as<float>(), to.as<BFloat16>());
  throw Error(ErrorKind::internal, "a copy cannot convert " + std::string(dtypeName(a)) + " to " +
                                       std::string(dtypeName(b)));
}

void copyBoxes(const CpuContext& context, std::span<const BoxCopy> copies) {
  for (const BoxCopy& copy : copies) copyBox(context, copy.box, copy.from, copy.to);
}

void fillZero(const CpuContext& context, const TensorView& tensor) {
  parallelRanges(context, tensor.type.bytes().value, 1, [&](int64_t begin, int64_t end) {
    std::memset(tensor.as<char>() + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace meshplan
