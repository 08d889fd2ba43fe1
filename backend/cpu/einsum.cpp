// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/einsum.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/einsum_form.h"
#include "backend/cpu/element.h"
#include "backend/cpu/product.h"

namespace meshplan {
namespace {

/// Each axis a tensor walks once; dimensions that broadcast walk none.
Letters lettersOf(const TensorWalk& walk) {
  Letters letters;
  for (const DimWalk& d : walk)
    if (d.outer != kNoAxis && !contains(letters, d.outer)) letters.push_back(d.outer);
  return letters;
}

/// Elements from one index of an axis to the next, 0 for an axis that is not walked; a repeated
/// axis moves along the diagonal.
std::vector<int64_t> axisStrides(const TensorWalk& walk, const Shape& shape, size_t axes) {
  std::vector<int64_t> strides(axes, 0);
  int64_t stride = 1;
  for (size_t d = walk.size(); d-- > 0; stride *= shape[d])
    if (walk[d].outer != kNoAxis) strides[static_cast<size_t>(walk[d].outer)] += stride;
  return strides;
}

template <class T>
struct Factor {
  Letters letters;
  std::vector<T> values;  // dense, in the order of letters
};

/// Calls f(offset in a, offset in b) for all indices of `letters`, the last fastest.
template <class F>
void forIndices(const Letters& letters, const std::vector<Axis>& axes,
                const std::vector<int64_t>& a, const std::vector<int64_t>& b, F f) {
  std::vector<int64_t> index(letters.size(), 0);
  int64_t atA = 0, atB = 0;
  for (int8_t l : letters)
    if (axes[static_cast<size_t>(l)].extent == 0) return;
  for (;;) {
    f(atA, atB);
    size_t d = letters.size();
    for (; d-- > 0;) {
      const auto l = static_cast<size_t>(letters[d]);
      atA += a[l];
      atB += b[l];
      if (++index[d] < axes[l].extent) break;
      atA -= index[d] * a[l];
      atB -= index[d] * b[l];
      index[d] = 0;
    }
    if (d == SIZE_MAX) return;
  }
}

std::vector<int64_t> denseStrides(const Letters& letters, const std::vector<Axis>& axes) {
  std::vector<int64_t> strides(axes.size(), 0);
  int64_t stride = 1;
  for (size_t d = letters.size(); d-- > 0;) {
    const auto l = static_cast<size_t>(letters[d]);
    strides[l] = stride;
    stride *= axes[l].extent;
  }
  return strides;
}

int64_t sizeOf(const Letters& letters, const std::vector<Axis>& axes) {
  int64_t size = 1;
  for (int8_t l : letters) size *= axes[static_cast<size_t>(l)].extent;
  return size;
}

/// Elements as a factor over `kept`, summed over the other letters.
template <class T, class E>
Factor<T> gathered(const E* from, const Letters& letters, const std::vector<int64_t>& strides,
                   const Letters& kept, const std::vector<Axis>& axes) {
  Factor<T> result{kept, std::vector<T>(static_cast<size_t>(sizeOf(kept, axes)), T(0))};
  const Letters summed = filtered(letters, [&](int8_t l) { return !contains(kept, l); });
  forIndices(kept + summed, axes, strides, denseStrides(kept, axes), [&](int64_t in, int64_t out) {
    result.values[static_cast<size_t>(out)] += static_cast<T>(from[in]);
  });
  return result;
}

template <class T>
Factor<T> arranged(Factor<T> factor, const Letters& order, const std::vector<Axis>& axes) {
  if (factor.letters == order) return factor;
  return gathered<T>(factor.values.data(), factor.letters, denseStrides(factor.letters, axes),
                     order, axes);
}

/// The product of two factors over the letters `wanted`, summed over those they share and nobody
/// wants.
template <class T>
Factor<T> multiplied(CpuContext& context, Factor<T> a, Factor<T> b, const Letters& wanted,
                     const std::vector<Axis>& axes) {
  const auto shared = [&](int8_t l) { return contains(a.letters, l) && contains(b.letters, l); };
  const Letters batch =
      filtered(a.letters, [&](int8_t l) { return shared(l) && contains(wanted, l); });
  const Letters inner =
      filtered(a.letters, [&](int8_t l) { return shared(l) && !contains(wanted, l); });
  const Letters rows = filtered(a.letters, [&](int8_t l) { return !shared(l); });
  const Letters columns = filtered(b.letters, [&](int8_t l) { return !shared(l); });
  a = arranged(std::move(a), batch + rows + inner, axes);
  b = arranged(std::move(b), batch + inner + columns, axes);
  const ProductExtents e{sizeOf(rows, axes), sizeOf(columns, axes), sizeOf(inner, axes),
                         sizeOf(batch, axes)};
  Factor<T> c{batch + rows + columns, std::vector<T>(static_cast<size_t>(e.batch * e.m * e.n))};
  constexpr DType kType = std::is_same_v<T, double> ? DType::f64 : DType::f32;
  multiply(context, e, {a.values.data(), kType, e.k, 1, e.m * e.k},
           {b.values.data(), kType, e.n, 1, e.k * e.n},
           {c.values.data(), kType, e.n, 1, e.m * e.n});
  return c;
}

template <class T>
Factor<T> loaded(const KernelCall& call, const WalkedTensor& x, const Letters& wanted,
                 const std::vector<Axis>& axes) {
  const Letters letters = lettersOf(*x.walk);
  const Letters kept = filtered(letters, [&](int8_t l) { return contains(wanted, l); });
  const auto strides = axisStrides(*x.walk, x.view->type.shape, axes.size());
  Factor<T> result;
  forElementType(*call.op, x.view->type.dtype, [&](auto element) {
    result = gathered<T>(x.view->as<decltype(element)>(), letters, strides, kept, axes);
  });
  return result;
}

template <class T>
Factor<T> contracted(CpuContext& context, const KernelCall& call,
                     const std::vector<WalkedTensor>& operands, const Letters& result,
                     const std::vector<Axis>& axes) {
  const auto wantedAfter = [&](size_t i) {
    Letters wanted = result;
    for (++i; i < operands.size(); ++i) wanted = wanted + lettersOf(*operands[i].walk);
    return wanted;
  };
  Factor<T> product = loaded<T>(call, operands[0], wantedAfter(0), axes);
  for (size_t i = 1; i < operands.size(); ++i) {
    Factor<T> next = loaded<T>(call, operands[i], wantedAfter(i) + product.letters, axes);
    product = multiplied(context, std::move(product), std::move(next), wantedAfter(i), axes);
  }
  return product;
}

/// Writes the product to a tensor, constant along letters that the product lacks and zero beside
/// the diagonal of a repeated one.
template <class T>
void store(const KernelCall& call, const Factor<T>& product, const WalkedTensor& to,
           bool accumulate, const std::vector<Axis>& axes) {
  const TensorType& type = to.view->type;
  if (!accumulate) std::fill_n(to.view->as<std::byte>(), type.bytes().value, std::byte{0});
  forElementType(*call.op, type.dtype, [&](auto element) {
    using E = decltype(element);
    E* const data = to.view->as<E>();
    forIndices(lettersOf(*to.walk), axes, denseStrides(product.letters, axes),
               axisStrides(*to.walk, type.shape, axes.size()), [&](int64_t in, int64_t out) {
                 data[out] = E(static_cast<T>(data[out]) + product.values[static_cast<size_t>(in)]);
               });
  });
}

void contract(CpuContext& context, const KernelCall& call,
              const std::vector<WalkedTensor>& operands, const WalkedTensor& to, bool accumulate,
              const std::vector<Axis>& axes) {
  const auto run = [&](auto element) {
    using T = decltype(element);
    const Factor<T> product = contracted<T>(context, call, operands, lettersOf(*to.walk), axes);
    store(call, product, to, accumulate, axes);
  };
  if (operands[0].view->type.dtype == DType::f64) return run(double{});
  run(float{});
}

}  // namespace

void einsum(CpuContext& context, const KernelCall& call) {
  forEinsum(call, [&](const auto&... what) { contract(context, call, what...); });
}

void einsumGradient(CpuContext& context, const KernelCall& call) {
  forEinsumGradients(call, [&](const auto&... what) { contract(context, call, what...); });
}

}  // namespace meshplan
