// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/contraction.cpp.
#include "backend/cpu/contraction_form.h"
#include "backend/cpu/element.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/einsum.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/matrix.h"
#include "backend/cuda/row_sums.h"
#include "backend/cuda/strided_sum.h"
#include "backend/cuda/weight_gradient.h"

namespace meshplan {
namespace {

const void* biasOf(const KernelCall& call) {
  return call.inputs.size() == 3 && addsBias(call) ? call.inputs[2].data : nullptr;
}

void linear(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t k = x.type.shape.back(), n = y.type.shape.back();
  multiply(context, {.extents = {rowsOf(y), n, k},
                     .a = rowMajor(x, k),
                     .b = oriented(call.inputs[1], isSet(call, "transposed")),
                     .c = rowMajor(y, n),
                     .bias = biasOf(call)});
}

void linearGradient(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const int64_t n = dy.type.shape.back(), rows = rowsOf(dy);
  const bool transposed = isSet(call, "transposed");
  size_t at = 0;
  if (const TensorView* dx = call.inputGradient(0, &at)) {
    const int64_t k = dx->type.shape.back();
    multiply(context, {.extents = {rows, k, n},
                       .a = rowMajor(dy, n),
                       .b = oriented(*call.forwardInput(1), !transposed),
                       .c = rowMajor(*dx, k),
                       .accumulate = call.accumulates(at)});
  }
  size_t atBias = 0;
  const TensorView *dw = call.inputGradient(1, &at), *db = call.inputGradient(2, &atBias);
  if (dw) {
    const TensorView& x = *call.forwardInput(0);
    const int64_t k = x.type.shape.back();
    const MatrixProduct product{.extents = {k, n, rows},
                                .a = rowMajor(x, k).transposed(),
                                .b = rowMajor(dy, n),
                                .c = oriented(*dw, transposed),
                                .accumulate = call.accumulates(at)};
    if (db)
      return multiplyWithSums(context, {*call.op, product, dy, *db, call.accumulates(atBias)});
    multiply(context, product);
  } else if (db) {
    sumRows(context, *call.op, dy, *db, call.accumulates(atBias));
  }
}

void gemm(CudaContext& context, const KernelCall& call) {
  const Gemm g(call);
  const TensorView &a = call.inputs[0], &y = call.outputs[0];
  const int64_t k = a.type.shape[g.transA ? 0 : 1], m = y.type.shape[0], n = y.type.shape[1];
  MatrixProduct p{.extents = {m, n, k},
                  .a = oriented(a, g.transA),
                  .b = oriented(call.inputs[1], g.transB),
                  .c = rowMajor(y, n),
                  .scale = g.alpha};
  if (const void* c = biasOf(call)) {
    const BroadcastStrides stride(call.inputs[2].type.shape, m, n);
    if (g.beta == 1 && stride.row == 0 && stride.column == 1) {
      p.bias = c;
    } else {
      stridedSum(context, {.dims = {{m, stride.row, n}, {n, stride.column, 1}},
                           .from = c,
                           .fromType = call.inputs[2].type.dtype,
                           .to = y.data,
                           .toType = y.type.dtype,
                           .scale = g.beta});
      p.accumulate = true;
    }
  }
  multiply(context, p);
}

/// The sums of dy over what c was broadcast along.
void sumBroadcast(CudaContext& context, const TensorView& dy, double beta, const TensorView& dc,
                  bool accumulate) {
  const int64_t m = dy.type.shape[0], n = dy.type.shape[1];
  const BroadcastStrides stride(dc.type.shape, m, n);
  StridedSum s{.dims = {},
               .from = dy.data,
               .fromType = dy.type.dtype,
               .to = dc.data,
               .toType = dc.type.dtype,
               .scale = beta,
               .accumulate = accumulate};
  if (stride.row != 0) s.dims.push_back({m, n, stride.row});
  if (stride.column != 0) s.dims.push_back({n, 1, 1});
  if (stride.row == 0) s.summed.push_back({m, n});
  if (stride.column == 0) s.summed.push_back({n, 1});
  stridedSum(context, s);
}

void gemmGradient(CudaContext& context, const KernelCall& call) {
  const Gemm g(call);
  const TensorView& dy = *call.outputGradient(0);
  const int64_t m = dy.type.shape[0], n = dy.type.shape[1];
  size_t at = 0;
  if (const TensorView* da = call.inputGradient(0, &at))
    multiply(context, {.extents = {m, da->type.shape[g.transA ? 0 : 1], n},
                       .a = rowMajor(dy, n),
                       .b = oriented(*call.forwardInput(1), !g.transB),
                       .c = oriented(*da, g.transA),
                       .accumulate = call.accumulates(at),
                       .scale = g.alpha});
  if (const TensorView* db = call.inputGradient(1, &at))
    multiply(context, {.extents = {db->type.shape[g.transB ? 1 : 0], n, m},
                       .a = oriented(*call.forwardInput(0), !g.transA),
                       .b = rowMajor(dy, n),
                       .c = oriented(*db, g.transB),
                       .accumulate = call.accumulates(at),
                       .scale = g.alpha});
  if (const TensorView* dc = call.inputGradient(2, &at))
    sumBroadcast(context, dy, g.beta, *dc, call.accumulates(at));
}

void expertLinear(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t experts = x.type.shape[0], k = x.type.shape[2], n = y.type.shape[2];
  multiply(context, {.extents = {y.type.shape[1], n, k, experts},
                     .a = perExpert(x),
                     .b = perExpert(call.inputs[1]),
                     .c = perExpert(y),
                     .bias = biasOf(call),
                     .biasStride = n});
}

void expertLinearGradient(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const int64_t experts = dy.type.shape[0], tokens = dy.type.shape[1], n = dy.type.shape[2];
  size_t at = 0;
  const auto transposed = [](const TensorView& v) { return perExpert(v).transposed(); };
  if (const TensorView* dx = call.inputGradient(0, &at))
    multiply(context, {.extents = {tokens, dx->type.shape[2], n, experts},
                       .a = perExpert(dy),
                       .b = transposed(*call.forwardInput(1)),
                       .c = perExpert(*dx),
                       .accumulate = call.accumulates(at)});
  if (const TensorView* dw = call.inputGradient(1, &at))
    multiply(context, {.extents = {dw->type.shape[1], n, tokens, experts},
                       .a = transposed(*call.forwardInput(0)),
                       .b = perExpert(dy),
                       .c = perExpert(*dw),
                       .accumulate = call.accumulates(at)});
  if (const TensorView* db = call.inputGradient(2, &at))
    sumRows(context, *call.op, dy, *db, call.accumulates(at), experts);
}

constexpr CudaKernels kKernels[] = {
    {"Linear", linear, linearGradient, true},
    {"MatMul", matmulOnGpu, matmulGradientOnGpu, true},
    {"Gemm", gemm, gemmGradient, true},
    {"Einsum", einsumOnGpu, einsumGradientOnGpu, true},
    {"ExpertLinear", expertLinear, expertLinearGradient, true},
};

}  // namespace

std::span<const CudaKernels> cudaContractionKernels() {
  return kKernels;
}

}  // namespace meshplan
