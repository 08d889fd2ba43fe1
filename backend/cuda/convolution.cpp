// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/convolution.cpp.
#include "backend/cuda/convolution.h"

#include <algorithm>

#include "backend/cpu/convolution_gradient.h"
#include "backend/cpu/element.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/patches.h"
#include "backend/cuda/row_sums.h"
#include "backend/cuda/strided_sum.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

constexpr int kChannelSums = -23;  // purpose of scratch memory

/// Channels of all images become products in place, filters x channels with channels x positions.
/// Gradients of weights add up over images, which products do not do fast.
void convolvePointwise(CudaContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                       const ConvolutionData& d) {
  const int64_t n = g.inElements();
  const Matrices w = rowMajor(d.w, g.channels);
  const int64_t x = g.channels * n, y = g.filters * n;
  if (pass == ConvolutionPass::output) {
    if (d.bias) fillChannels(context, *d.bias, d.y);
    multiplyRepeated(context,
                     {.extents = {g.filters, n, g.channels},
                      .a = w,
                      .b = rowMajor(d.x, n),
                      .c = rowMajor(d.y, n),
                      .accumulate = d.bias != nullptr},
                     {{g.batch, 0, x, y}});
  } else {
    multiplyRepeated(context,
                     {.extents = {g.channels, n, g.filters},
                      .a = w.transposed(),
                      .b = rowMajor(d.y, n),
                      .c = rowMajor(d.x, n)},
                     {{g.batch, 0, y, x}});
  }
}

/// Sums of a few positions first, so that there is work for the whole machine.
void sumChannels(CudaContext& context, const KernelCall& call, const TensorView& dy,
                 const TensorView& sums, bool accumulate) {
  const int64_t batch = dy.type.shape[0], channels = dy.type.shape[1];
  const int64_t n = elementCount(spatialExtents(dy.type.shape));
  int64_t parts = std::min<int64_t>(n, 256);
  while (parts > 1 && n % parts != 0) --parts;
  TensorView rows{
      nullptr, {dy.type.dtype == DType::f64 ? DType::f64 : DType::f32, {batch * parts, channels}}};
  rows.data = context.scratch(rows.type.bytes().value, kChannelSums);
  if (n > 0)
    stridedSum(
        context,
        {.dims = {{batch, channels * n, parts * channels}, {channels, n, 1}, {parts, 1, channels}},
         .summed = {{n / parts, parts}},
         .from = dy.data,
         .fromType = dy.type.dtype,
         .to = rows.data,
         .toType = rows.type.dtype});
  sumRows(context, *call.op, rows, sums, accumulate);
}

const TensorView* biasOf(const KernelCall& call) {
  return call.inputs.size() == 3 && addsBias(call) ? &call.inputs[2] : nullptr;
}

void convolution(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &w = call.inputs[1], &y = call.outputs[0];
  convolve(context, geometryOf(call.op->attributes, x.type, w.type, y.type),
           ConvolutionPass::output, {x, w, y, biasOf(call)});
}

/// y += the bias of each channel.
void addChannels(CudaContext& context, const TensorView& bias, const TensorView& y) {
  const int64_t n = elementCount(spatialExtents(y.type.shape)), channels = y.type.shape[1];
  stridedSum(context, {.dims = {{y.type.shape[0], 0, channels * n}, {channels, 1, n}, {n, 0, 1}},
                       .from = bias.data,
                       .fromType = bias.type.dtype,
                       .to = y.data,
                       .toType = y.type.dtype,
                       .accumulate = true});
}

void transposedConvolution(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &w = call.inputs[1], &y = call.outputs[0];
  convolve(context, transposedGeometryOf(call.op->attributes, x.type, w.type, y.type),
           ConvolutionPass::input, {y, w, x});
  if (const TensorView* bias = biasOf(call)) addChannels(context, *bias, y);
}

void gradient(CudaContext& context, const KernelCall& call, bool transposed) {
  convolutionGradient(
      call, transposed,
      [&](const ConvolutionGeometry& g, ConvolutionPass pass, const ConvolutionData& data) {
        convolve(context, g, pass, data);
      },
      [&](const TensorView& dy, const TensorView& db, bool accumulate) {
        sumChannels(context, call, dy, db, accumulate);
      });
}

/// Gradients of the weights are added in place; that of the input is computed beside what it is
/// added to.
template <bool transposed>
void gradientOf(CudaContext& context, const KernelCall& call) {
  size_t at = 0;
  const TensorView* dx = call.inputGradient(0, &at);
  if (!dx || !call.accumulates(at)) return gradient(context, call, transposed);
  std::vector<TensorView> outputs(call.outputs.begin(), call.outputs.end());
  outputs[at].data = context.scratch(dx->type.bytes().value, CudaContext::kBeside);
  KernelCall beside = call;
  beside.outputs = outputs;
  beside.accumulate &= ~(1u << at);
  gradient(context, beside, transposed);
  convertElements(context, outputs[at].data, dx->type.dtype, dx->data, dx->type.dtype,
                  dx->type.elements(), true);
}

bool takes(const KernelCall& call) {
  const auto fits = [](const TensorView& v) { return v.type.shape.size() <= 2 + kPatchDims; };
  return std::all_of(call.inputs.begin(), call.inputs.end(), fits) &&
         std::all_of(call.outputs.begin(), call.outputs.end(), fits);
}

constexpr CudaKernels kKernels[] = {
    {"Conv", convolution, gradientOf<false>, true, takes},
    {"ConvTranspose", transposedConvolution, gradientOf<true>, true, takes},
};

}  // namespace

void fillChannels(CudaContext& context, const TensorView& bias, const TensorView& y) {
  const int64_t n = elementCount(spatialExtents(y.type.shape)), channels = y.type.shape[1];
  stridedSum(context, {.dims = {{y.type.shape[0], 0, channels * n}, {channels, 1, n}, {n, 0, 1}},
                       .from = bias.data,
                       .fromType = bias.type.dtype,
                       .to = y.data,
                       .toType = y.type.dtype});
}

void convolve(CudaContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
              const ConvolutionData& d) {
  if (g.isPointwise() && g.groups == 1 && pass != ConvolutionPass::weights)
    return convolvePointwise(context, g, pass, d);
  if (!convolveInLibrary(context, g, pass, d)) convolveByPatches(context, g, pass, d);
}

std::span<const CudaKernels> cudaConvolutionKernels() {
  return kKernels;
}

}  // namespace meshplan
