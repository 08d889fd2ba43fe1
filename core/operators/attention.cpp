// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/error.h"
#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

bool isFlash(const Attributes& attributes) {
  const std::string name = attributes.getString("implementation", "flash");
  if (name != "flash" && name != "flash-1" && name != "fused-softmax" && name != "math")
    throw Error(ErrorKind::usage, "unknown attention implementation '" + name + "'",
                "flash, flash-1, fused-softmax or math");
  return name == "flash" || name == "flash-1";
}

bool hasDropout(const Attributes& attributes) {
  return attributes.getFloat("dropout", 0) > 0;
}

/// Probabilities, then with dropout the mask and the dropped probabilities: what PyTorch's and
/// Megatron's unfused attention keep for the backward pass (Korthikanti et al. 2022, section 4.1).
void appendScores(std::vector<TensorType>& outputs, const Attributes& attributes,
                  const TensorType& q, int64_t keys) {
  const TensorType scores{q.dtype, {q.shape[0], q.shape[1], q.shape[2], keys}};
  outputs.push_back(scores);
  if (!hasDropout(attributes)) return;
  outputs.push_back({DType::u8, scores.shape});
  outputs.push_back(scores);
}

void checkAttention(Types in) {
  expectInputs(in, 3, 4);
  for (size_t i = 0; i < 3; ++i) expectRank(in[i], 4, 4);
  const Shape &q = in[0].shape, &k = in[1].shape, &v = in[2].shape;
  expectEqual(q[0], k[0], "the batch");
  expectEqual(q[3], k[3], "the head size");
  for (size_t d = 0; d < 3; ++d) expectEqual(k[d], v[d], "keys and values");
  if (k[1] == 0 || q[1] % k[1] != 0)
    rejectInputs(std::to_string(q[1]) + " query heads do not divide over " + std::to_string(k[1]) +
                 " key-value heads");
}

std::vector<TensorType> inferAttention(const Attributes& attributes, Types in) {
  checkAttention(in);
  const Shape &q = in[0].shape, &k = in[1].shape, &v = in[2].shape;
  const Shape scores{q[0], q[1], q[2], k[2]};
  if (in.size() == 4 && broadcast(in[3].shape, scores) != scores)
    rejectInputs("the mask of shape " + shapeText(in[3].shape) + " does not fit scores of shape " +
                 shapeText(scores));
  std::vector<TensorType> outputs{{in[0].dtype, {q[0], q[1], q[2], v[3]}}};
  if (isFlash(attributes))
    outputs.push_back({in[0].dtype == DType::f64 ? DType::f64 : DType::f32, {q[0], q[1], q[2]}});
  else
    appendScores(outputs, attributes, in[0], k[2]);
  return outputs;
}

TensorWalk maskWalk(const Shape& mask, const Shape& scores, const TensorWalk& walk) {
  TensorWalk result(mask.size());
  const size_t offset = scores.size() - mask.size();
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i] == scores[offset + i]) result[i] = walk[offset + i];
  return result;
}

LoopNest nestAttention(const OpContext& c) {
  const Shape &qs = c.inputs[0].shape, &ks = c.inputs[1].shape, &vs = c.inputs[2].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", qs[0])};
  const int8_t g = nest.addAxis("kv_heads", ks[1]);
  const DimWalk heads{g, nest.addAxis("heads", ks[1] ? qs[1] / ks[1] : 1)}, kv{g};
  const DimWalk q{nest.addAxis("queries", qs[2])};
  const DimWalk t{nest.addAxis("keys", ks[2], AxisKind::streamed)};
  const DimWalk d{nest.addAxis("head_dim", qs[3], AxisKind::opaque)};
  const DimWalk v{nest.addAxis("value_dim", vs[3], AxisKind::opaque)};
  const TensorWalk scores{b, heads, q, t};
  nest.inputs = {{b, heads, q, d}, {b, kv, t, d}, {b, kv, t, v}};
  if (c.inputs.size() == 4)
    nest.inputs.push_back(maskWalk(c.inputs[3].shape, {qs[0], qs[1], qs[2], ks[2]}, scores));
  nest.outputs = {{b, heads, q, v}};
  if (isFlash(c.attributes)) nest.outputs.push_back({b, heads, q});
  while (nest.outputs.size() < c.outputs.size()) nest.outputs.push_back(scores);
  return nest;
}

/// Both products in full, also when causal: the convention of model FLOPs (Megatron SC'21, PaLM).
double flopsAttention(const OpContext& c) {
  const Shape &q = c.inputs[0].shape, &k = c.inputs[1].shape;
  const double scores = 1.0 * q[0] * q[1] * q[2] * k[2];
  return 2 * scores * (q[3] + c.inputs[2].shape[3]);
}

/// Unfused attention writes and reads the scores at every step: QK^T, scale and mask, softmax,
/// dropout, times V.
double bytesAttention(const OpContext& c) {
  double bytes = 0;
  for (const TensorType& t : c.inputs) bytes += t.bytes().value;
  for (const TensorType& t : c.outputs) bytes += t.bytes().value;
  if (isFlash(c.attributes)) return bytes;
  const double scores = c.outputs[1].bytes().value;
  return bytes + scores * (hasDropout(c.attributes) ? 6 : 5);
}

SlotSet needsAttention(const OpContext& c, int) {
  if (isFlash(c.attributes)) return {c.inputs.size() == 4 ? 0b1111u : 0b111u, 0b11};
  return {0b111, hasDropout(c.attributes) ? 0b1110u : 0b10u};
}

/// Flash recomputes the scores in its backward pass: five products against two (Dao 2023,
/// section 3.1).
double backwardAttention(const Attributes& attributes) {
  return isFlash(attributes) ? 2.5 : 2;
}

constexpr OperatorDef kAttention{.name = "Attention",
                                 .opClass = OpClass::attention,
                                 .infer = inferAttention,
                                 .nest = nestAttention,
                                 .flops = flopsAttention,
                                 .bytes = bytesAttention,
                                 .gradient = GradientKind::fused,
                                 .needs = needsAttention,
                                 .backwardFlops = 2.5,
                                 .backwardFlopsOf = backwardAttention};

constexpr std::array kDefs{kAttention};

}  // namespace

std::span<const OperatorDef> attentionDefs() {
  return kDefs;
}

}  // namespace meshplan
