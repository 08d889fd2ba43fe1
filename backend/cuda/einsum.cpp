// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/einsum.cpp.
#include "backend/cuda/einsum.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "backend/cpu/einsum_form.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/strided_sum.h"

namespace meshplan {
namespace {

using Axes = std::vector<Axis>;

// Purposes of scratch memory; kProduct and the one before are for every other product.
constexpr int kProduct = -12, kLoaded = -14, kLeft = -15, kRight = -16;

int64_t extentOf(int8_t letter, const Axes& axes) {
  return axes[static_cast<size_t>(letter)].extent;
}

int64_t sizeOf(const Letters& letters, const Axes& axes) {
  int64_t size = 1;
  for (int8_t l : letters) size *= extentOf(l, axes);
  return size;
}

/// Elements of any strides: one per index of the letters.
struct Factor {
  Letters letters;
  void* data = nullptr;
  DType dtype = DType::f32;
  std::vector<int64_t> strides;  // by axis; 0 for those it lacks

  int64_t stride(int8_t letter) const { return strides[static_cast<size_t>(letter)]; }
};

/// A tensor by what its dimensions walk; a repeated axis moves along the diagonal.
Factor factorOf(const TensorView& view, const TensorWalk& walk, const Axes& axes) {
  Factor f{{}, view.data, view.type.dtype, std::vector<int64_t>(axes.size(), 0)};
  int64_t stride = 1;
  for (size_t d = walk.size(); d-- > 0; stride *= view.type.shape[d]) {
    const int8_t axis = walk[d].outer;
    if (axis == kNoAxis) continue;
    if (!contains(f.letters, axis)) f.letters.insert(f.letters.begin(), axis);
    f.strides[static_cast<size_t>(axis)] += stride;
  }
  return f;
}

bool hasDiagonal(const TensorWalk& walk) {
  for (size_t i = 0; i < walk.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (walk[i].outer != kNoAxis && walk[i].outer == walk[j].outer) return true;
  return false;
}

Factor dense(const Letters& letters, void* data, DType dtype, const Axes& axes) {
  Factor f{letters, data, dtype, std::vector<int64_t>(axes.size(), 0)};
  int64_t stride = 1;
  for (size_t d = letters.size(); d-- > 0; stride *= extentOf(letters[d], axes))
    f.strides[static_cast<size_t>(letters[d])] = stride;
  return f;
}

Factor inScratch(CudaContext& context, const Letters& letters, DType dtype, int purpose,
                 const Axes& axes) {
  const int64_t bytes = sizeOf(letters, axes) * dtypeBytes(dtype);
  return dense(letters, context.scratch(bytes, purpose), dtype, axes);
}

/// to (+)= from, summed over the letters that `to` lacks.
void move(CudaContext& context, const Factor& from, const Factor& to, const Axes& axes,
          bool accumulate = false) {
  StridedSum s;
  for (int8_t l : to.letters) s.dims.push_back({extentOf(l, axes), from.stride(l), to.stride(l)});
  for (int8_t l : from.letters)
    if (!contains(to.letters, l)) s.summed.push_back({extentOf(l, axes), from.stride(l)});
  s.from = from.data;
  s.fromType = from.dtype;
  s.to = to.data;
  s.toType = to.dtype;
  s.accumulate = accumulate;
  stridedSum(context, s);
}

/// The one stride of letters that lie one within the other; 1 where there is one index alone.
std::optional<int64_t> joinedStride(const Factor& f, const Letters& letters, const Axes& axes) {
  int64_t inner = 0, size = 1;
  for (size_t d = letters.size(); d-- > 0;) {
    const int64_t extent = extentOf(letters[d], axes), stride = f.stride(letters[d]);
    if (extent == 1) continue;
    if (inner == 0) inner = stride;
    if (stride != inner * size) return std::nullopt;
    size *= extent;
  }
  return inner == 0 ? 1 : inner;
}

/// The factor as matrices of those rows and columns, when a product can read or write it so.
std::optional<Matrices> asMatrices(const Factor& f, const Letters& rows, const Letters& columns,
                                   const Axes& axes) {
  const auto row = joinedStride(f, rows, axes), column = joinedStride(f, columns, axes);
  const int64_t m = sizeOf(rows, axes), n = sizeOf(columns, axes);
  if (!row || !column || (*row != 1 && *column != 1 && m != 1 && n != 1)) return std::nullopt;
  if (*row == 1 && m != 1) return Matrices{f.data, f.dtype, 1, n == 1 ? m : *column};
  return Matrices{f.data, f.dtype, m == 1 ? n * *column : *row, *column};
}

/// A product of two factors over the letters `wanted`.
class PairProduct {
 public:
  PairProduct(const Factor& a, const Factor& b, const Letters& wanted, const Axes& axes)
      : axes_(axes) {
    const auto shared = [&](int8_t l) { return contains(a.letters, l) && contains(b.letters, l); };
    batch_ = filtered(a.letters, [&](int8_t l) { return shared(l) && contains(wanted, l); });
    inner_ = filtered(a.letters, [&](int8_t l) { return shared(l) && !contains(wanted, l); });
    rows_ = filtered(a.letters, [&](int8_t l) { return !shared(l); });
    columns_ = filtered(b.letters, [&](int8_t l) { return !shared(l); });
  }

  Letters letters() const { return batch_ + rows_ + columns_; }
  /// Whether the product can be written there.
  bool fits(const Factor& c) const {
    return c.letters.size() == letters().size() && asMatrices(c, rows_, columns_, axes_) &&
           std::all_of(c.letters.begin(), c.letters.end(),
                       [&](int8_t l) { return contains(letters(), l); });
  }

  void run(CudaContext& context, Factor a, Factor b, const Factor& c, bool accumulate) const {
    a = readable(context, a, rows_, inner_, kLeft);
    b = readable(context, b, inner_, columns_, kRight);
    std::vector<RepeatedProduct> repeats;
    for (int8_t l : batch_)
      repeats.push_back({extentOf(l, axes_), a.stride(l), b.stride(l), c.stride(l)});
    multiplyRepeated(
        context,
        {.extents = {sizeOf(rows_, axes_), sizeOf(columns_, axes_), sizeOf(inner_, axes_)},
         .a = *asMatrices(a, rows_, inner_, axes_),
         .b = *asMatrices(b, inner_, columns_, axes_),
         .c = *asMatrices(c, rows_, columns_, axes_),
         .accumulate = accumulate},
        repeats);
  }

 private:
  /// The factor, or a copy that a product can read.
  Factor readable(CudaContext& context, const Factor& f, const Letters& rows,
                  const Letters& columns, int purpose) const {
    if (asMatrices(f, rows, columns, axes_)) return f;
    const Factor copy = inScratch(context, batch_ + rows + columns, f.dtype, purpose, axes_);
    move(context, f, copy, axes_);
    return copy;
  }

  const Axes& axes_;
  Letters batch_, inner_, rows_, columns_;
};

DType wideType(DType type) {
  return type == DType::f64 ? DType::f64 : DType::f32;
}

class Contraction {
 public:
  Contraction(CudaContext& context, const std::vector<WalkedTensor>& operands,
              const WalkedTensor& to, bool accumulate, const Axes& axes)
      : context_(context), operands_(operands), to_(to), accumulate_(accumulate), axes_(axes) {}

  void run() {
    const Factor result = factorOf(*to_.view, *to_.walk, axes_);
    Factor product = loaded(0, wantedAfter(0), kProduct);
    for (size_t i = 1; i < operands_.size(); ++i) {
      Factor next = loaded(i, wantedAfter(i) + product.letters, kLoaded);
      if (next.dtype != product.dtype) widen(product, next, i);
      const PairProduct pair(product, next, wantedAfter(i), axes_);
      if (i + 1 == operands_.size() && !hasDiagonal(*to_.walk) && pair.fits(result) &&
          writes(product.dtype, result.dtype))
        return pair.run(context_, product, next, result, accumulate_);
      const Factor c = inScratch(context_, pair.letters(), wideType(product.dtype),
                                 kProduct - static_cast<int>(i % 2), axes_);
      pair.run(context_, product, next, c, false);
      product = c;
    }
    store(product, result);
  }

 private:
  static bool writes(DType from, DType to) { return to == from || to == DType::f32; }

  Letters wantedAfter(size_t i) const {
    Letters wanted = factorOf(*to_.view, *to_.walk, axes_).letters;
    for (++i; i < operands_.size(); ++i)
      wanted = wanted + factorOf(*operands_[i].view, *operands_[i].walk, axes_).letters;
    return wanted;
  }

  /// An operand, without the letters that nobody wants.
  Factor loaded(size_t i, const Letters& wanted, int purpose) {
    const Factor f = factorOf(*operands_[i].view, *operands_[i].walk, axes_);
    const Letters kept = filtered(f.letters, [&](int8_t l) { return contains(wanted, l); });
    if (kept == f.letters) return f;
    const Factor sums = inScratch(context_, kept, wideType(f.dtype), purpose, axes_);
    move(context_, f, sums, axes_);
    return sums;
  }

  /// One factor of a product is a sum already: the other becomes wide too.
  void widen(Factor& product, Factor& next, size_t i) {
    Factor& narrow = product.dtype == wideType(product.dtype) ? next : product;
    const int purpose = &narrow == &next ? kLoaded : kProduct - static_cast<int>((i + 1) % 2);
    const Factor wide = inScratch(context_, narrow.letters, wideType(narrow.dtype), purpose, axes_);
    move(context_, narrow, wide, axes_);
    narrow = wide;
  }

  /// Constant along letters that the product lacks and zero beside the diagonal of a repeated one.
  void store(const Factor& product, const Factor& result) {
    if (!accumulate_ && hasDiagonal(*to_.walk))
      context_.check(
          cudaMemsetAsync(to_.view->data, 0, static_cast<size_t>(to_.view->type.bytes().value),
                          context_.stream()),
          "cudaMemsetAsync");
    move(context_, product, result, axes_, accumulate_);
  }

  CudaContext& context_;
  const std::vector<WalkedTensor>& operands_;
  const WalkedTensor& to_;
  const bool accumulate_;
  const Axes& axes_;
};

}  // namespace

void einsumOnGpu(CudaContext& context, const KernelCall& call) {
  forEinsum(call, [&](const auto&... what) { Contraction(context, what...).run(); });
}

void einsumGradientOnGpu(CudaContext& context, const KernelCall& call) {
  forEinsumGradients(call, [&](const auto&... what) { Contraction(context, what...).run(); });
}

}  // namespace meshplan
