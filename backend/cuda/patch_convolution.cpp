// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/patch_convolution.cpp.
#include <algorithm>

#include "backend/cuda/convolution.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/patches.h"
#include "backend/cuda/strided_sum.h"

namespace meshplan {
namespace {

constexpr int64_t kPatchBytes = int64_t{256} << 20;
constexpr int kPatches = -20, kFilters = -21, kSums = -22;  // purposes of scratch memory

DType wideType(DType type) {
  return type == DType::f64 ? DType::f64 : DType::f32;
}

/// Images [first, first + count) of a tensor.
TensorView images(const TensorView& x, int64_t first, int64_t count) {
  TensorView part = x;
  part.type.shape[0] = 1;
  part.data = x.as<std::byte>() + first * part.type.bytes().value;
  part.type.shape[0] = count;
  return part;
}

class PatchConvolution {
 public:
  PatchConvolution(CudaContext& context, const ConvolutionGeometry& g) : context_(context), g_(g) {}

  int64_t together(DType type) const {
    const int64_t bytes = std::max<int64_t>(g_.groups * rows() * positions() * dtypeBytes(type), 1);
    return std::clamp<int64_t>(kPatchBytes / bytes, 1, std::max<int64_t>(g_.batch, 1));
  }

  void output(const TensorView& x, const TensorView& w, const TensorView& y, bool accumulate) {
    const int64_t count = y.type.shape[0];
    const Patches p = patches(x.type.dtype, count);
    loadPatches(context_, g_, count, g_.groups * g_.channels, x, p);
    multiplyRepeated(context_,
                     {.extents = {g_.filters, positions(), rows()},
                      .a = rowMajor(w, rows()),
                      .b = matrix(p),
                      .c = rowMajor(y, positions()),
                      .accumulate = accumulate},
                     {perImage(count, p.imageStride), perGroup(rows() * p.rowStride)});
  }

  void input(const TensorView& x, const TensorView& w, const TensorView& y) {
    const int64_t count = y.type.shape[0];
    const Patches p = patches(wideType(x.type.dtype), count);
    const RepeatedProduct image = perImage(count, p.imageStride),
                          group = perGroup(rows() * p.rowStride);
    multiplyRepeated(context_,
                     {.extents = {rows(), positions(), g_.filters},
                      .a = rowMajor(w, rows()).transposed(),
                      .b = rowMajor(y, positions()),
                      .c = matrix(p)},
                     {{count, image.a, image.c, image.b}, {g_.groups, group.a, group.c, group.b}});
    sumPatches(context_, g_, count, g_.groups * g_.channels, p, x);
  }

  /// Sums over the images too: rows of patches and of y continue from image to image.
  void weights(const TensorView& x, const TensorView& w, const TensorView& y, bool accumulate) {
    const int64_t count = y.type.shape[0], n = positions(), length = count * n;
    Patches p = patches(x.type.dtype, count);
    p.imageStride = n;
    p.rowStride = length;
    loadPatches(context_, g_, count, g_.groups * g_.channels, x, p);
    const int64_t filters = g_.groups * g_.filters;
    const Matrices lines{context_.scratch(filters * length * dtypeBytes(y.type.dtype), kFilters),
                         y.type.dtype, length, 1, 0};
    stridedSum(context_, {.dims = {{filters, n, length}, {count, filters * n, n}, {n, 1, 1}},
                          .from = y.data,
                          .fromType = y.type.dtype,
                          .to = lines.data,
                          .toType = lines.dtype});
    multiplyRepeated(context_,
                     {.extents = {g_.filters, rows(), length},
                      .a = lines,
                      .b = matrix(p).transposed(),
                      .c = rowMajor(w, rows()),
                      .accumulate = accumulate},
                     {{g_.groups, g_.filters * length, rows() * length, g_.filters * rows()}});
  }

 private:
  int64_t rows() const { return g_.channels * g_.kernelElements(); }
  int64_t positions() const { return g_.outElements(); }

  /// Dense patches of some images.
  Patches patches(DType type, int64_t count) {
    const int64_t elements = g_.groups * rows() * positions();
    return {context_.scratch(count * elements * dtypeBytes(type), kPatches), type, elements,
            positions()};
  }
  static Matrices matrix(const Patches& p) { return {p.data, p.dtype, p.rowStride, 1, 0}; }
  RepeatedProduct perImage(int64_t count, int64_t patch) const {
    return {count, 0, patch, g_.groups * g_.filters * positions()};
  }
  RepeatedProduct perGroup(int64_t patch) const {
    return {g_.groups, g_.filters * rows(), patch, g_.filters * positions()};
  }

  CudaContext& context_;
  const ConvolutionGeometry& g_;
};

}  // namespace

void convolveByPatches(CudaContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                       const ConvolutionData& d) {
  PatchConvolution convolution(context, g);
  const bool makesWeights = pass == ConvolutionPass::weights;
  const bool narrow = makesWeights && d.w.type.dtype != wideType(d.w.type.dtype);
  TensorView w = d.w;
  if (narrow) {
    w.type.dtype = DType::f32;
    w.data = context.scratch(w.type.bytes().value, kSums);
  }
  if (pass == ConvolutionPass::output && d.bias) fillChannels(context, *d.bias, d.y);
  const int64_t together = convolution.together(
      pass == ConvolutionPass::input ? wideType(d.x.type.dtype) : d.x.type.dtype);
  for (int64_t first = 0; first < g.batch; first += together) {
    const int64_t count = std::min(together, g.batch - first);
    const TensorView x = images(d.x, first, count), y = images(d.y, first, count);
    if (pass == ConvolutionPass::output)
      convolution.output(x, w, y, d.bias != nullptr);
    else if (pass == ConvolutionPass::input)
      convolution.input(x, w, y);
    else
      convolution.weights(x, w, y, first > 0 || (d.accumulate && !narrow));
  }
  if (narrow)
    convertElements(context, w.data, w.type.dtype, d.w.data, d.w.type.dtype, w.type.elements(),
                    d.accumulate);
}

}  // namespace meshplan
