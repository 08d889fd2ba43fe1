// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/attention.cpp.
#include "backend/cuda/attention_kernels.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/fused_attention.h"
#include "backend/cuda/kernels/attention_shape.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::AttentionShape;

bool isFlash(const KernelCall& call) {
  return call.op->attributes.getString("implementation", "flash").substr(0, 5) == "flash";
}

/// The forward operator's input, seen from either pass.
const TensorView* operandOf(const KernelCall& call, size_t i) {
  if (call.isGradient()) return call.forwardInput(i);
  return i < call.inputs.size() ? &call.inputs[i] : nullptr;
}

int narrowed(int64_t extent) {
  if (extent >= int64_t{1} << 31)
    throw Error(ErrorKind::runtime, "an extent of attention exceeds 2^31 - 1");
  return static_cast<int>(extent);
}

device::ScoreDropout dropoutOf(const CudaContext& context, const KernelCall& call,
                               const AttentionRules& r) {
  return {r.dropout,
          r.dropout > 0 ? context.seed(call.seedSlot) : nullptr,
          PlacedRandom::hashOf(call.op->name),
          r.batchRange.begin,
          r.groupRange.begin,
          r.groupRange.whole,
          r.ratioRange.begin,
          r.ratioRange.whole,
          r.queryRange.begin,
          r.queryRange.whole,
          r.keyRange.begin,
          r.keyRange.whole};
}

void attention(CudaContext& context, const KernelCall& call) {
  if (!isFlash(call)) return mathAttention(context, call);
  if (!tensorAttentionTakes(context, call)) return plainAttention(context, call);
  if (fusedAttentionTakes(context, call, tensorAttention)) return fusedAttention(context, call);
  tensorAttention(context, call);
}

void attentionGradient(CudaContext& context, const KernelCall& call) {
  if (!isFlash(call)) return mathAttentionGradient(context, call);
  if (!tensorAttentionTakes(context, call)) return plainAttentionGradient(context, call);
  if (fusedAttentionTakes(context, call, tensorAttentionGradient))
    return fusedAttention(context, call);
  tensorAttentionGradient(context, call);
}

constexpr CudaKernels kKernels[] = {{"Attention", attention, attentionGradient}};

}  // namespace

namespace device {

ScoreMask scoreMask(const TensorView& view) {
  ScoreMask mask{view.data, view.type.dtype};
  const Shape& shape = view.type.shape;
  int64_t stride = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t extent = shape[shape.size() - 1 - i];
    mask.strides[3 - i] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
  return mask;
}

AttentionShape attentionShape(const CudaContext& context, const KernelCall& call) {
  const AttentionRules r(call, operandOf(call, 0)->type.shape, operandOf(call, 1)->type.shape,
                         operandOf(call, 2)->type.shape);
  const TensorView* mask = operandOf(call, 3);
  return {narrowed(r.batch),
          narrowed(r.groups),
          narrowed(r.ratio),
          narrowed(r.queries),
          narrowed(r.keys),
          narrowed(r.keyDim),
          narrowed(r.valueDim),
          r.causal,
          r.queryRange.begin - r.keyRange.begin,
          r.scale,
          mask ? scoreMask(*mask) : ScoreMask{},
          dropoutOf(context, call, r)};
}

}  // namespace device

bool tensorAttentionTakes(const CudaContext& context, const KernelCall& call) {
  const TensorView &q = *operandOf(call, 0), &k = *operandOf(call, 1), &v = *operandOf(call, 2);
  const DType dtype = q.type.dtype;
  const auto fits = [](int64_t size) { return size > 0 && size <= 128 && size % 8 == 0; };
  const bool sameTypes = k.type.dtype == dtype && v.type.dtype == dtype;
  return context.capability() >= 80 && (dtype == DType::bf16 || dtype == DType::f16) && sameTypes &&
         fits(q.type.shape[3]) && fits(v.type.shape[3]) &&
         device::attentionShape(context, call).scale > 0;
}

std::span<const CudaKernels> cudaAttentionKernels() {
  return kKernels;
}

}  // namespace meshplan
