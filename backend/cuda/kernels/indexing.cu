// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/indexing.cpp, fill.cpp. Bound by bandwidth.
#include "backend/cpu/lines.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/kernels/box_layout.h"
#include "backend/cuda/kernels/convert.h"
#include "backend/cuda/kernels/indices.h"
#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/movement_tables.h"

namespace meshplan {
namespace {

using device::BoxLayout;
using device::Divisor;
using device::IndexCheck;
using device::Indices;

struct alignas(16) Wide {
  uint64_t low, high;
};

/// Calls f with an unsigned number as large as the widest unit that runs of elements are made of.
template <class F>
void withUnit(int64_t runBytes, F&& f) {
  if (runBytes % 16 == 0) return f(Wide{});
  if (runBytes % 8 == 0) return f(uint64_t{});
  if (runBytes % 4 == 0) return f(uint32_t{});
  if (runBytes % 2 == 0) return f(uint16_t{});
  f(uint8_t{});
}

/// Indices count from the end where they are negative.
struct Index {
  Indices indices;
  IndexCheck check;

  __device__ bool read(int64_t i, int64_t& index) const {
    index = indices[i];
    if (index < 0) index += check.size;
    return check(index);
  }
};

/// y[outer][i][inner] = data[outer][index of i][inner], in units.
template <class Unit>
struct Gather {
  const Unit* data;
  Unit* y;
  Index index;
  Divisor inner, count;  // of the indices

  __device__ void operator()(int64_t at) const {
    const int64_t row = inner.quotient(at), unit = at - row * inner.by();
    const int64_t outer = count.quotient(row);
    int64_t picked;
    if (!index.read(row - outer * count.by(), picked)) return;
    y[at] = data[(outer * index.check.size + picked) * inner.by() + unit];
  }
};

Index indexInto(CudaContext& context, const KernelCall& call, const TensorView& indices,
                int64_t extent) {
  return {device::indicesOf(*call.op, indices), IndexCheck(context, *call.op, "index", extent)};
}

void gather(CudaContext& context, const KernelCall& call) {
  const TensorView &data = call.inputs[0], &indices = call.inputs[1], &y = call.outputs[0];
  const Lines lines(data.type.shape, call.op->attributes.getInt("axis", 0));
  if (y.type.elements() == 0) return;
  const int64_t bytes = lines.inner * dtypeBytes(data.type.dtype);
  withUnit(bytes, [&](auto unit) {
    using Unit = decltype(unit);
    const int64_t inner = bytes / static_cast<int64_t>(sizeof(Unit));
    const int64_t count = indices.type.elements();
    forEach(
        context, lines.outer * count * inner,
        Gather<Unit>{data.as<Unit>(), y.as<Unit>(), indexInto(context, call, indices, lines.extent),
                     Divisor(inner), Divisor(count)});
  });
}

/// One element per index, which replaces the coordinate along the axis.
template <class T>
struct GatherElements {
  const T* data;
  T* y;
  Index index;
  BoxLayout places;  // of the other coordinates in the data
  int64_t stride;

  __device__ void operator()(int64_t i) const {
    int64_t picked, place, own;
    if (!index.read(i, picked)) return;
    places.places(i, place, own);
    y[i] = data[place + picked * stride];
  }
};

void gatherElements(CudaContext& context, const KernelCall& call) {
  const TensorView &data = call.inputs[0], &indices = call.inputs[1], &y = call.outputs[0];
  const Shape &from = data.type.shape, &to = indices.type.shape;
  const size_t axis = dimensionIndex(call.op->attributes.getInt("axis", 0), from.size());
  const std::vector<int64_t> strides = denseStrides(from);
  StridedBox box;
  for (size_t d = 0; d < to.size(); ++d) box.add(to[d], d == axis ? 0 : strides[d], 0);
  withUnit(dtypeBytes(data.type.dtype), [&](auto element) {
    using T = decltype(element);
    forEach(
        context, y.type.elements(),
        GatherElements<T>{data.as<T>(), y.as<T>(), indexInto(context, call, indices, from[axis]),
                          BoxLayout(box), strides[axis]});
  });
}

/// Indices outside [-depth, depth) give no hot place.
struct OneHot {
  Indices indices;
  DType dtype;
  void* y;
  Divisor inner, depth;
  double off, on;

  __device__ void operator()(int64_t at) const {
    const int64_t row = inner.quotient(at), column = at - row * inner.by();
    const int64_t outer = depth.quotient(row), place = row - outer * depth.by();
    const int64_t index = indices[outer * inner.by() + column];
    const bool hot = index == place || index + depth.by() == place;
    device::storeElement<double>(dtype, y, at, hot ? on : off);
  }
};

void oneHot(CudaContext& context, const KernelCall& call) {
  const TensorView& y = call.outputs[0];
  const Attributes& a = call.op->attributes;
  const Lines lines(y.type.shape, a.getInt("axis", -1));
  if (y.type.elements() == 0) return;
  forEach(context, y.type.elements(),
          OneHot{device::indicesOf(*call.op, call.inputs[0]), y.type.dtype, y.data,
                 Divisor(lines.inner), Divisor(lines.extent), a.getFloat("off_value", 0),
                 a.getFloat("on_value", 1)});
}

bool isIndex(DType dtype) {
  return dtype == DType::i64 || dtype == DType::i32 || dtype == DType::u8;
}

/// Gradients, which add in an order that the indices decide, are left to the processor.
bool takesGather(const KernelCall& call) {
  return !call.isGradient() && isConverted(call.inputs[0].type.dtype) &&
         isIndex(call.inputs[1].type.dtype);
}
bool takesElements(const KernelCall& call) {
  return takesGather(call) && call.inputs[0].type.shape.size() <= BoxLayout::kDims;
}
bool takesOneHot(const KernelCall& call) {
  return isIndex(call.inputs[0].type.dtype) && isConverted(call.outputs[0].type.dtype);
}

constexpr CudaKernels kKernels[] = {
    {"Gather", gather, nullptr, false, takesGather},
    {"GatherElements", gatherElements, nullptr, false, takesElements},
    {"OneHot", oneHot, nullptr, false, takesOneHot},
};

}  // namespace

std::span<const CudaKernels> cudaIndexingKernels() {
  return kKernels;
}

}  // namespace meshplan
