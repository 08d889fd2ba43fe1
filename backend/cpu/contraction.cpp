// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "backend/cpu/contraction_form.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/einsum.h"
#include "backend/cpu/element.h"
#include "backend/cpu/matmul.h"

namespace meshplan {
namespace {

void linear(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t k = x.type.shape.back(), n = y.type.shape.back();
  ProductOptions options;
  if (call.inputs.size() == 3 && addsBias(call)) options.bias = &call.inputs[2];
  multiply(context, {rowsOf(y), n, k}, rowMajor(x, k),
           oriented(call.inputs[1], isSet(call, "transposed")), rowMajor(y, n), options);
}

void linearGradient(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const int64_t n = dy.type.shape.back(), rows = rowsOf(dy);
  const bool transposed = isSet(call, "transposed");
  size_t at = 0;
  if (const TensorView* dx = call.inputGradient(0, &at)) {
    const int64_t k = dx->type.shape.back();
    multiply(context, {rows, k, n}, rowMajor(dy, n), oriented(*call.forwardInput(1), !transposed),
             rowMajor(*dx, k), {.accumulate = call.accumulates(at)});
  }
  if (const TensorView* dw = call.inputGradient(1, &at)) {
    const TensorView& x = *call.forwardInput(0);
    const int64_t k = x.type.shape.back();
    multiply(context, {k, n, rows}, rowMajor(x, k).transposed(), rowMajor(dy, n),
             oriented(*dw, transposed), {.accumulate = call.accumulates(at)});
  }
  if (const TensorView* db = call.inputGradient(2, &at))
    sumRows(context, dy, rows, n, *db, call.accumulates(at));
}

template <class T>
void fillBroadcast(const TensorView& c, double beta, const TensorView& y) {
  const int64_t m = y.type.shape[0], n = y.type.shape[1];
  const BroadcastStrides stride(c.type.shape, m, n);
  const auto factor = static_cast<Wide<T>>(beta);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      y.as<T>()[i * n + j] = T(factor * c.as<T>()[i * stride.row + j * stride.column]);
}

void gemm(CpuContext& context, const KernelCall& call) {
  const Gemm g(call);
  const TensorView &a = call.inputs[0], &y = call.outputs[0];
  const int64_t k = a.type.shape[g.transA ? 0 : 1], m = y.type.shape[0], n = y.type.shape[1];
  const bool adds = call.inputs.size() == 3 && addsBias(call);
  if (adds)
    forElementType(*call.op, y.type.dtype, [&](auto element) {
      fillBroadcast<decltype(element)>(call.inputs[2], g.beta, y);
    });
  multiply(context, {m, n, k}, oriented(a, g.transA), oriented(call.inputs[1], g.transB),
           rowMajor(y, n), {.accumulate = adds, .scale = g.alpha});
}

template <class T, class S>
void sumBroadcast(const TensorView& dy, double beta, const TensorView& dc, bool accumulate) {
  const int64_t m = dy.type.shape[0], n = dy.type.shape[1];
  const BroadcastStrides stride(dc.type.shape, m, n);
  std::vector<Wide<T>> sums(static_cast<size_t>(dc.type.elements()));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      sums[static_cast<size_t>(i * stride.row + j * stride.column)] += dy.as<T>()[i * n + j];
  for (size_t i = 0; i < sums.size(); ++i) {
    S& to = dc.as<S>()[i];
    to = S((accumulate ? Wide<T>(to) : 0) + static_cast<Wide<T>>(beta) * sums[i]);
  }
}

void gemmGradient(CpuContext& context, const KernelCall& call) {
  const Gemm g(call);
  const TensorView& dy = *call.outputGradient(0);
  const int64_t m = dy.type.shape[0], n = dy.type.shape[1];
  size_t at = 0;
  if (const TensorView* da = call.inputGradient(0, &at))
    multiply(context, {m, da->type.shape[g.transA ? 0 : 1], n}, rowMajor(dy, n),
             oriented(*call.forwardInput(1), !g.transB), oriented(*da, g.transA),
             {.accumulate = call.accumulates(at), .scale = g.alpha});
  if (const TensorView* db = call.inputGradient(1, &at))
    multiply(context, {db->type.shape[g.transB ? 1 : 0], n, m},
             oriented(*call.forwardInput(0), !g.transA), rowMajor(dy, n), oriented(*db, g.transB),
             {.accumulate = call.accumulates(at), .scale = g.alpha});
  if (const TensorView* dc = call.inputGradient(2, &at))
    forElementType(*call.op, dy.type.dtype, [&](auto t) {
      forElementType(*call.op, dc->type.dtype, [&](auto s) {
        sumBroadcast<decltype(t), decltype(s)>(dy, g.beta, *dc, call.accumulates(at));
      });
    });
}

/// Expert e's part of a tensor whose first dimension is the experts.
TensorView expertPart(const TensorView& view, int64_t e) {
  TensorView part = view;
  part.type.shape.erase(part.type.shape.begin());
  part.data = view.as<std::byte>() + e * part.type.bytes().value;
  return part;
}

void expertLinear(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &w = call.inputs[1], &y = call.outputs[0];
  const int64_t experts = x.type.shape[0], k = x.type.shape[2];
  const ProductExtents one{y.type.shape[1], y.type.shape[2], k};
  if (call.inputs.size() == 2 || !addsBias(call))
    return multiply(context, {one.m, one.n, one.k, experts}, perExpert(x), perExpert(w),
                    perExpert(y));
  const TensorView biases{call.inputs[2].data, {call.inputs[2].type.dtype, {experts, one.n}}};
  for (int64_t e = 0; e < experts; ++e) {
    const TensorView bias = expertPart(biases, e);
    multiply(context, one, rowMajor(expertPart(x, e), k), rowMajor(expertPart(w, e), one.n),
             rowMajor(expertPart(y, e), one.n), {.bias = &bias});
  }
}

void expertLinearGradient(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const int64_t experts = dy.type.shape[0], tokens = dy.type.shape[1], n = dy.type.shape[2];
  size_t at = 0;
  const auto transposed = [](const TensorView& v) { return perExpert(v).transposed(); };
  if (const TensorView* dx = call.inputGradient(0, &at))
    multiply(context, {tokens, dx->type.shape[2], n, experts}, perExpert(dy),
             transposed(*call.forwardInput(1)), perExpert(*dx),
             {.accumulate = call.accumulates(at)});
  if (const TensorView* dw = call.inputGradient(1, &at))
    multiply(context, {dw->type.shape[1], n, tokens, experts}, transposed(*call.forwardInput(0)),
             perExpert(dy), perExpert(*dw), {.accumulate = call.accumulates(at)});
  if (const TensorView* db = call.inputGradient(2, &at)) {
    const TensorView sums{db->data, {db->type.dtype, {experts, n}}};
    for (int64_t e = 0; e < experts; ++e)
      sumRows(context, expertPart(dy, e), tokens, n, expertPart(sums, e), call.accumulates(at));
  }
}

constexpr std::array<CpuKernels, 5> kKernels{{
    {"Linear", linear, linearGradient, true},
    {"MatMul", matmul, matmulGradient, true},
    {"Gemm", gemm, gemmGradient, true},
    {"Einsum", einsum, einsumGradient, true},
    {"ExpertLinear", expertLinear, expertLinearGradient, true},
}};

}  // namespace

std::span<const CpuKernels> contractionKernels() {
  return kKernels;
}

}  // namespace meshplan
