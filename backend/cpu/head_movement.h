// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "backend/cpu/strided.h"
#include "core/operators/support.h"

/// Operators that move features to heads and back, for every device.
namespace meshplan::head {

/// A part of the features of x[b,s,...] as heads y[b,h,s,d]: head i begins at `offset` plus
/// i/group blocks plus i%group heads.
inline StridedBox headBox(const Shape& x, const Shape& y, int64_t offset, int64_t group,
                          int64_t block) {
  const std::vector<int64_t> from = denseStrides(x), to = denseStrides(y);
  StridedBox box;
  box.add(y[0], from[0], to[0]);
  box.add(y[1] / group, block, to[1] * group);
  box.add(group, y[3], to[1]);
  box.add(y[2], from[1], to[2]);
  box.add(y[3], 1, 1);
  box.fromOffset = offset;
  return box;
}

/// Queries, keys and values of a fused projection.
struct FusedHeads {
  explicit FusedHeads(const Attributes& a)
      : group(a.getInt("group", 1)),
        dim(a.getInt("head_dim", 1)),
        value(a.getInt("value_dim", dim)) {}
  StridedBox box(const Shape& x, const Shape& y, size_t output) const {
    const int64_t block = (group + 1) * dim + value;
    if (output == 0) return headBox(x, y, 0, group, block);
    return headBox(x, y, output == 1 ? group * dim : (group + 1) * dim, 1, block);
  }
  int64_t group, dim, value;
};

template <class Context>
void splitHeadsForward(Context& context, const KernelCall& call) {
  const FusedHeads heads(call.op->attributes);
  const TensorView& x = call.inputs[0];
  std::vector<BoxCopy> copies;
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const TensorView& y = call.outputs[i];
    copies.push_back({heads.box(x.type.shape, y.type.shape, i), x, y});
  }
  copyBoxes(context, copies);
}

template <class Context>
void splitHeadsBackward(Context& context, const KernelCall& call) {
  const FusedHeads heads(call.op->attributes);
  const TensorView& dx = *call.inputGradient(0);
  if (call.inputs.size() < 3) fillZero(context, dx);
  std::vector<BoxCopy> copies;
  for (size_t i = 0; i < 3; ++i)
    if (const TensorView* dy = call.outputGradient(i))
      copies.push_back({heads.box(dx.type.shape, dy->type.shape, i).reversed(), *dy, dx});
  copyBoxes(context, copies);
}

inline StridedBox toHeadsBox(const Shape& merged, const Shape& heads) {
  return headBox(merged, heads, 0, 1, heads[3]);
}

template <class Context>
void toHeadsForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, toHeadsBox(x.type.shape, y.type.shape), x, y);
}
template <class Context>
void toHeadsBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  copyBox(context, toHeadsBox(dx.type.shape, dy.type.shape).reversed(), dy, dx);
}
template <class Context>
void mergeHeadsForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, toHeadsBox(y.type.shape, x.type.shape).reversed(), x, y);
}
template <class Context>
void mergeHeadsBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  copyBox(context, toHeadsBox(dy.type.shape, dx.type.shape), dy, dx);
}

/// `count` features of heads x[b,h,s,...] from `xBegin` on, and of y[b,h,s,...] from `yBegin` on;
/// a tensor with one head is shared by all.
inline StridedBox featureBox(const Shape& x, int64_t xBegin, const Shape& y, int64_t yBegin,
                             int64_t heads, int64_t count) {
  const std::vector<int64_t> from = denseStrides(x), to = denseStrides(y);
  StridedBox box;
  for (size_t d = 0; d < 3; ++d)
    box.add(d == 1 ? heads : x[d], d == 1 && x[1] != heads ? 0 : from[d],
            d == 1 && y[1] != heads ? 0 : to[d]);
  box.add(count, 1, 1);
  box.fromOffset = xBegin;
  box.toOffset = yBegin;
  return box;
}

/// kv = (keys without position, values) per head; rope = the rotated part that all heads share.
template <class Context>
void latentForward(Context& context, const KernelCall& call) {
  const TensorView &kv = call.inputs[0], &rope = call.inputs[1];
  const TensorView &k = call.outputs[0], &v = call.outputs[1];
  const int64_t heads = kv.type.shape[1], value = v.type.shape[3];
  const int64_t plain = kv.type.shape[3] - value, turned = rope.type.shape[3];
  const BoxCopy copies[] = {
      {featureBox(kv.type.shape, 0, k.type.shape, 0, heads, plain), kv, k},
      {featureBox(rope.type.shape, 0, k.type.shape, plain, heads, turned), rope, k},
      {featureBox(kv.type.shape, plain, v.type.shape, 0, heads, value), kv, v}};
  copyBoxes(context, copies);
}

template <class Context>
void latentKeyValueGradient(Context& context, const KernelCall& call, const TensorView& dkv) {
  const TensorView *dk = call.outputGradient(0), *dv = call.outputGradient(1);
  const int64_t heads = dkv.type.shape[1];
  const int64_t value = dv ? dv->type.shape[3] : call.op->attributes.getInt("value_dim", 1);
  const int64_t plain = dkv.type.shape[3] - value;
  if (!dk || !dv) fillZero(context, dkv);
  if (dk)
    copyBox(context, featureBox(dk->type.shape, 0, dkv.type.shape, 0, heads, plain), *dk, dkv);
  if (dv)
    copyBox(context, featureBox(dv->type.shape, 0, dkv.type.shape, plain, heads, value), *dv, dkv);
}

template <class Context>
void latentBackward(Context& context, const KernelCall& call) {
  if (const TensorView* dkv = call.inputGradient(0)) latentKeyValueGradient(context, call, *dkv);
  const TensorView *drope = call.inputGradient(1), *dk = call.outputGradient(0);
  if (!drope) return;
  if (!dk) return fillZero(context, *drope);
  const int64_t turned = drope->type.shape[3], heads = dk->type.shape[1];
  sumBox(
      context,
      featureBox(dk->type.shape, dk->type.shape[3] - turned, drope->type.shape, 0, heads, turned),
      *dk, *drope);
}

/// x[n,c,h,w] to y[n,t,c] behind `first` tokens of another origin.
inline StridedBox patchBox(const Shape& x, const Shape& y, int64_t first) {
  const std::vector<int64_t> to = denseStrides(y);
  const int64_t area = x[2] * x[3];
  StridedBox box;
  box.add(x[0], x[1] * area, to[0]);
  box.add(area, 1, to[1]);
  box.add(x[1], area, 1);
  box.toOffset = first * to[1];
  return box;
}

/// The class token to the first place of every sample.
inline StridedBox classBox(const Shape& y) {
  StridedBox box;
  box.add(y[0], 0, y[1] * y[2]);
  box.add(y[2], 1, 1);
  return box;
}

template <class Context>
void patchForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t first = call.inputs.size() == 2 ? 1 : 0;
  copyBox(context, patchBox(x.type.shape, y.type.shape, first), x, y);
  if (first) copyBox(context, classBox(y.type.shape), call.inputs[1], y);
}

template <class Context>
void patchBackward(Context& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const Shape& y = dy.type.shape;
  if (const TensorView* dx = call.inputGradient(0)) {
    const Shape& x = dx->type.shape;
    copyBox(context, patchBox(x, y, y[1] - x[2] * x[3]).reversed(), dy, *dx);
  }
  if (const TensorView* dclass = call.inputGradient(1))
    sumBox(context, classBox(y).reversed(), dy, *dclass);
}

/// The first token of every sample of x[b,s,e].
inline StridedBox firstBox(const Shape& x) {
  StridedBox box;
  box.add(x[0], x[1] * x[2], x[2]);
  box.add(x[2], 1, 1);
  return box;
}

template <class Context>
void firstForward(Context& context, const KernelCall& call) {
  copyBox(context, firstBox(call.inputs[0].type.shape), call.inputs[0], call.outputs[0]);
}
template <class Context>
void firstBackward(Context& context, const KernelCall& call) {
  const TensorView& dx = *call.inputGradient(0);
  fillZero(context, dx);
  copyBox(context, firstBox(dx.type.shape).reversed(), *call.outputGradient(0), dx);
}

/// Their kernels for a device: copyBox, copyBoxes, sumBox and fillZero of its Context do the work.
template <class Kernels, class Context>
constexpr auto table() {
  return std::array<Kernels, 6>{{
      {"SplitHeads", splitHeadsForward<Context>, splitHeadsBackward<Context>},
      {"ToHeads", toHeadsForward<Context>, toHeadsBackward<Context>},
      {"MergeHeads", mergeHeadsForward<Context>, mergeHeadsBackward<Context>},
      {"LatentKeyValue", latentForward<Context>, latentBackward<Context>},
      {"PatchTokens", patchForward<Context>, patchBackward<Context>},
      {"FirstToken", firstForward<Context>, firstBackward<Context>},
  }};
}

}  // namespace meshplan::head
