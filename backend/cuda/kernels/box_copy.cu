// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/strided.cpp, blocks.cpp. Bound by bandwidth.
#include <cstdlib>
#include <vector>

#include "backend/cuda/box_kernels.h"
#include "backend/cuda/kernels/box_layout.h"
#include "backend/cuda/kernels/convert.h"
#include "backend/cuda/kernels/launch.h"

namespace meshplan {
namespace {

using device::BoxLayout;

constexpr int kTogether = 4, kSide = 32;

struct alignas(16) Wide {
  uint64_t low, high;
};

/// Copies as units, one after another.
struct Copies {
  int count = 0;
  int64_t ends[kTogether] = {};
  const void* from[kTogether] = {};
  void* to[kTogether] = {};
  BoxLayout layouts[kTogether];
};

template <class Unit>
struct CopyUnit {
  Copies copies;

  __device__ void operator()(int64_t i) const {
    int c = 0;
    while (c + 1 < copies.count && i >= copies.ends[c]) ++c;
    int64_t fromAt, toAt;
    copies.layouts[c].places(i - (c > 0 ? copies.ends[c - 1] : 0), fromAt, toAt);
    static_cast<Unit*>(copies.to[c])[toAt] = static_cast<const Unit*>(copies.from[c])[fromAt];
  }
};

template <class Unit>
void copyUnits(CudaContext& context, const Copies& copies) {
  forEach(context, copies.ends[copies.count - 1], CopyUnit<Unit>{copies});
}

struct TransposeLayout {
  BoxLayout outer;
  int64_t rows, columns, fromStride, toStride;  // to[i][j] = from[j][i]
  device::Divisor rowTiles, columnTiles;
};

/// Squares through shared memory, so that neighbours are read and written together.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    transposeKernel(TransposeLayout layout, const T* from, T* to) {
  __shared__ T square[kSide][kSide + 1];
  constexpr int kLines = kThreadsPerBlock / kSide;
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  const int64_t strips = layout.columnTiles.quotient(blockIdx.x);
  const int64_t j0 = (blockIdx.x - strips * layout.columnTiles.by()) * kSide;
  const int64_t box = layout.rowTiles.quotient(strips);
  const int64_t i0 = (strips - box * layout.rowTiles.by()) * kSide;
  int64_t fromAt, toAt;
  layout.outer.places(box, fromAt, toAt);
  for (int j = y; j < kSide; j += kLines)
    if (i0 + x < layout.rows && j0 + j < layout.columns)
      square[j][x] = from[fromAt + i0 + x + (j0 + j) * layout.fromStride];
  __syncthreads();
  for (int i = y; i < kSide; i += kLines)
    if (i0 + i < layout.rows && j0 + x < layout.columns)
      to[toAt + (i0 + i) * layout.toStride + j0 + x] = square[x][i];
}

template <class T>
void transpose(CudaContext& context, const TransposeLayout& layout, const void* from, void* to) {
  const int64_t blocks = layout.outer.count * layout.rowTiles.by() * layout.columnTiles.by();
  launch(context, blocks, kThreadsPerBlock, 0, transposeKernel<T>, layout,
         static_cast<const T*>(from), static_cast<T*>(to));
}

/// The dimension that `from` walks densely, where it is worth a transposition with the last one,
/// which `to` walks so; else -1.
int denseDimension(const StridedBox& box) {
  constexpr int64_t kWorth = 8;
  const size_t last = box.extents.size() - 1;
  if (box.to[last] != 1 || box.extents[last] < kWorth) return -1;
  for (size_t d = 0; d < last; ++d)
    if (box.from[d] == 1 && box.extents[d] >= kWorth) return static_cast<int>(d);
  return -1;
}

void copyTransposed(CudaContext& context, const StridedBox& box, size_t dense, const void* from,
                    void* to, int64_t bytes) {
  const size_t last = box.extents.size() - 1;
  StridedBox outer;
  for (size_t d = 0; d < last; ++d)
    if (d != dense) outer.add(box.extents[d], box.from[d], box.to[d]);
  outer.fromOffset = box.fromOffset;
  outer.toOffset = box.toOffset;
  const int64_t rows = box.extents[dense], columns = box.extents[last];
  const TransposeLayout layout{BoxLayout(outer),
                               rows,
                               columns,
                               box.from[last],
                               box.to[dense],
                               device::Divisor((rows + kSide - 1) / kSide),
                               device::Divisor((columns + kSide - 1) / kSide)};
  if (bytes == 1) return transpose<uint8_t>(context, layout, from, to);
  if (bytes == 2) return transpose<uint16_t>(context, layout, from, to);
  if (bytes == 4) return transpose<uint32_t>(context, layout, from, to);
  transpose<uint64_t>(context, layout, from, to);
}

bool isEmpty(const StridedBox& box) {
  for (const int64_t extent : box.extents)
    if (extent == 0) return true;
  return false;
}

bool isRun(const StridedBox& box) {
  return box.extents.size() == 1 && box.from[0] == 1 && box.to[0] == 1;
}

/// The largest unit of up to 16 bytes that all runs of a box are made of.
int64_t unitOf(const StridedBox& box, const void* from, const void* to, int64_t bytes) {
  if (box.from.back() != 1 || box.to.back() != 1) return bytes;
  int64_t parts = box.extents.back() | box.fromOffset | box.toOffset;
  for (size_t d = 0; d + 1 < box.extents.size(); ++d) parts |= box.from[d] | box.to[d];
  const int64_t addresses = parts * bytes | static_cast<int64_t>(reinterpret_cast<uintptr_t>(from) |
                                                                 reinterpret_cast<uintptr_t>(to));
  int64_t unit = bytes;
  while (unit < 16 && addresses % (2 * unit) == 0) unit *= 2;
  return unit;
}

StridedBox inUnits(StridedBox box, int64_t elements) {
  if (elements == 1) return box;
  box.extents.back() /= elements;
  for (size_t d = 0; d + 1 < box.extents.size(); ++d) {
    box.from[d] /= elements;
    box.to[d] /= elements;
  }
  box.fromOffset /= elements;
  box.toOffset /= elements;
  return box;
}

struct Prepared {
  StridedBox box;
  const void* from;
  void* to;
};

void copyTogether(CudaContext& context, const std::vector<Prepared>& boxes, int64_t bytes) {
  int64_t unit = 16;
  for (const Prepared& p : boxes) unit = std::min(unit, unitOf(p.box, p.from, p.to, bytes));
  Copies copies;
  for (const Prepared& p : boxes) {
    BoxLayout& layout = copies.layouts[copies.count];
    layout = BoxLayout(inUnits(p.box, unit / bytes));
    copies.from[copies.count] = p.from;
    copies.to[copies.count] = p.to;
    copies.ends[copies.count] = layout.count + (copies.count ? copies.ends[copies.count - 1] : 0);
    ++copies.count;
  }
  if (unit == 1) return copyUnits<uint8_t>(context, copies);
  if (unit == 2) return copyUnits<uint16_t>(context, copies);
  if (unit == 4) return copyUnits<uint32_t>(context, copies);
  if (unit == 8) return copyUnits<uint64_t>(context, copies);
  copyUnits<Wide>(context, copies);
}

template <class A>
struct ConvertElement {
  BoxLayout layout;
  DType fromType, toType;
  const void* from;
  void* to;

  __device__ void operator()(int64_t i) const {
    int64_t fromAt, toAt;
    layout.places(i, fromAt, toAt);
    device::storeElement<A>(toType, to, toAt, device::loadElement<A>(fromType, from, fromAt));
  }
};

template <class A>
struct ConvertFour {
  DType fromType, toType;
  const void* from;
  void* to;
  int64_t elements;

  __device__ void operator()(int64_t i) const {
    const int64_t at = i * 4, left = elements - at;
    const int count = left < 4 ? static_cast<int>(left) : 4;
    A values[4] = {};
    device::withElementOf<device::LoadElements<4>>(fromType, from, at, count, values);
    device::withElementOf<device::StoreElements<4>>(toType, to, at, count, values);
  }
};

/// Calls f with a number of the type by way of which elements are converted.
template <class F>
void withWay(DType from, DType to, F&& f) {
  if (from == DType::f64 || to == DType::f64) return f(double{});
  if (isFloating(from) || isFloating(to)) return f(float{});
  f(int64_t{});
}

void convertBox(CudaContext& context, const StridedBox& box, const TensorView& from,
                const TensorView& to) {
  const DType a = from.type.dtype, b = to.type.dtype;
  withWay(a, b, [&](auto number) {
    const BoxLayout layout(box);
    forEach(context, layout.count,
            ConvertElement<decltype(number)>{layout, a, b, from.data, to.data});
  });
}

void copyRun(CudaContext& context, const StridedBox& box, const TensorView& from,
             const TensorView& to) {
  const int64_t bytes = dtypeBytes(from.type.dtype);
  context.check(cudaMemcpyAsync(to.as<char>() + box.toOffset * bytes,
                                from.as<char>() + box.fromOffset * bytes,
                                static_cast<size_t>(box.extents[0] * bytes),
                                cudaMemcpyDeviceToDevice, context.stream()),
                "cudaMemcpyAsync");
}

}  // namespace

bool isConverted(DType dtype) {
  return dtype != DType::f8 && dtype != DType::i4;
}

void copyBoxes(CudaContext& context, std::span<const BoxCopy> copies) {
  std::vector<Prepared> together;
  int64_t bytes = 1;
  for (const BoxCopy& copy : copies) {
    StridedBox box = copy.box;
    if (isEmpty(box)) continue;
    box.simplify();
    const TensorView &from = copy.from, &to = copy.to;
    if (from.type.dtype != to.type.dtype) {
      convertBox(context, box, from, to);
      continue;
    }
    const int64_t own = dtypeBytes(from.type.dtype);
    const int dense = denseDimension(box);
    if (isRun(box)) {
      copyRun(context, box, from, to);
    } else if (dense >= 0) {
      copyTransposed(context, box, static_cast<size_t>(dense), from.data, to.data, own);
    } else {
      if (together.size() == kTogether || (!together.empty() && own != bytes)) {
        copyTogether(context, together, bytes);
        together.clear();
      }
      together.push_back({box, from.data, to.data});
      bytes = own;
    }
  }
  if (!together.empty()) copyTogether(context, together, bytes);
}

void copyBox(CudaContext& context, const StridedBox& box, const TensorView& from,
             const TensorView& to) {
  const BoxCopy copy{box, from, to};
  copyBoxes(context, std::span(&copy, 1));
}

void fillZero(CudaContext& context, const TensorView& tensor) {
  if (tensor.type.elements() == 0) return;
  context.check(cudaMemsetAsync(tensor.data, 0, static_cast<size_t>(tensor.type.bytes().value),
                                context.stream()),
                "cudaMemsetAsync");
}

void castElements(CudaContext& context, const TensorView& from, const TensorView& to) {
  const DType a = from.type.dtype, b = to.type.dtype;
  const int64_t elements = from.type.elements();
  if (a == b) {
    StridedBox box;
    box.add(elements, 1, 1);
    if (elements > 0) copyRun(context, box, from, to);
    return;
  }
  withWay(a, b, [&](auto number) {
    forEach(context, (elements + 3) / 4,
            ConvertFour<decltype(number)>{a, b, from.data, to.data, elements});
  });
}

}  // namespace meshplan
