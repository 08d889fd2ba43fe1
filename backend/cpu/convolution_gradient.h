// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/convolution.h"

namespace meshplan {

/// The gradients of a convolution, or of a transposed one, by the device's own
/// convolve(geometry, pass, data) and sumChannels(dy, db, accumulate).
template <class Convolve, class SumChannels>
void convolutionGradient(const KernelCall& call, bool transposed, const Convolve& convolve,
                         const SumChannels& sumChannels) {
  const TensorView& dy = *call.outputGradient(0);
  size_t xAt = 0, wAt = 0, biasAt = 0;
  const TensorView *dx = call.inputGradient(0, &xAt), *dw = call.inputGradient(1, &wAt);
  if (const TensorView* db = call.inputGradient(2, &biasAt))
    sumChannels(dy, *db, call.accumulates(biasAt));
  const TensorView* x = call.forwardInput(0) ? call.forwardInput(0) : dx;
  const TensorView* w = call.forwardInput(1) ? call.forwardInput(1) : dw;
  if (!x || !w) return;
  const ConvolutionGeometry g =
      transposed ? transposedGeometryOf(call.op->attributes, x->type, w->type, dy.type)
                 : geometryOf(call.op->attributes, x->type, w->type, dy.type);
  if (dx)
    convolve(g, transposed ? ConvolutionPass::output : ConvolutionPass::input,
             transposed ? ConvolutionData{dy, *w, *dx} : ConvolutionData{*dx, *w, dy});
  if (dw)
    convolve(g, ConvolutionPass::weights,
             ConvolutionData{transposed ? dy : *x, *dw, transposed ? *x : dy, nullptr,
                             call.accumulates(wAt)});
}

}  // namespace meshplan
