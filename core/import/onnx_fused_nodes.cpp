// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "core/import/onnx_translate.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

/// x[b,s,h·d] as x[b,h,s,d].
Value toHeads(OnnxNode& node, const Value& x, int64_t heads) {
  if (x.type.shape.size() == 4) return x;
  if (x.type.shape.size() != 3 || heads < 1 || x.type.shape[2] % heads != 0)
    throw Unplannable{"inputs of shape " + shapeText(x.type.shape) + " have no known layout"};
  return node.add("ToHeads", {x}, {{"head_dim", x.type.shape[2] / heads}})[0];
}

struct AttentionInputs {
  Value q, k, v;
  std::optional<Value> mask;
  bool causal = false, merge = true;
};

/// The attention operator over q, k, v with heads apart; the result with heads merged again.
Value attend(OnnxNode& node, const AttentionInputs& in) {
  Attributes attributes{{"implementation", node.builder.request.attention.value_or("flash")}};
  if (in.causal) attributes.set("causal", int64_t{1});
  if (node.hasAttribute("scale")) attributes.set("scale", node.getFloat("scale", 1));
  std::vector<Value> inputs{in.q, in.k, in.v};
  const bool dropped = in.mask && (in.mask->causal || in.mask->isConstant());
  if (in.mask && (!dropped || node.builder.inference)) inputs.push_back(*in.mask);
  const Value result = node.add("Attention", inputs, attributes)[0];
  return in.merge ? node.add("MergeHeads", {result})[0] : result;
}

/// Keys or values of earlier tokens in front of the new ones.
Value withPast(OnnxNode& node, const Value& now, size_t past) {
  if (!node.has(past) || node.rank(past) != 4) return now;
  return node.add("Concat", {node.input(past), now}, {{"axis", int64_t{2}}})[0];
}

std::vector<Value> onnxAttention(OnnxNode& node) {
  const int64_t heads = node.getInt("q_num_heads", node.getInt("num_heads", 1));
  const int64_t kvHeads = node.getInt("kv_num_heads", heads);
  AttentionInputs in;
  in.q = toHeads(node, node.input(0), heads);
  in.k = withPast(node, toHeads(node, node.input(1), kvHeads), 4);
  in.v = withPast(node, toHeads(node, node.input(2), kvHeads), 5);
  if (node.has(3)) in.mask = node.input(3);
  in.causal = node.getInt("is_causal", 0) != 0 || (in.mask && in.mask->causal);
  in.merge = node.rank(0) == 3;
  return {attend(node, in), in.k, in.v};
}

/// com.microsoft.Attention: one product makes queries, keys and values.
std::vector<Value> packedAttention(OnnxNode& node) {
  const int64_t heads = node.getInt("num_heads", 1);
  if (!node.has(1) || node.rank(0) != 3 || node.rank(1) != 2 || node.has(4))
    throw Unplannable{"this form of Attention is not read"};
  const Value* bias = node.has(2) ? &node.inputs[2] : nullptr;
  const Value qkv = addLinear(node, node.input(0), node.input(1), false, bias)[0];
  const std::vector<int64_t> sizes = node.getInts("qkv_hidden_sizes");
  Attributes split{{"axis", int64_t{-1}}, {"num_outputs", int64_t{3}}};
  if (!sizes.empty()) split.set("split", sizes);
  const std::vector<Value> parts = node.add("Split", {qkv}, split);
  AttentionInputs in;
  in.q = toHeads(node, parts.at(0), heads);
  in.k = toHeads(node, parts.at(1), heads);
  in.v = toHeads(node, parts.at(2), heads);
  in.causal = node.getInt("unidirectional", 0) != 0;
  return {attend(node, in)};
}

/// One name, two operators: ONNX 23 takes queries, keys and values, com.microsoft a packed weight.
std::vector<Value> attention(OnnxNode& node) {
  return node.domain() == "com.microsoft" ? packedAttention(node) : onnxAttention(node);
}

std::vector<Value> multiHeadAttention(OnnxNode& node) {
  const int64_t heads = node.getInt("num_heads", 1);
  if (!node.has(1) || !node.has(2) || node.rank(0) != 3)
    throw Unplannable{"this form of MultiHeadAttention is not read"};
  AttentionInputs in;
  std::vector<Value> qkv{node.input(0), node.input(1), node.input(2)};
  for (size_t i = 0; node.has(3) && i < 3; ++i) {
    if (qkv[i].type.shape.size() != 3) continue;
    const TensorType type{qkv[i].type.dtype, {qkv[i].type.shape[2]}};
    const Value bias =
        node.builder.constant(node.name + ".bias" + std::to_string(i), type, std::nullopt, true);
    qkv[i] = node.add("Add", {qkv[i], bias})[0];
  }
  in.q = toHeads(node, qkv[0], heads);
  in.k = toHeads(node, qkv[1], heads);
  in.v = toHeads(node, qkv[2], heads);
  if (node.has(5)) in.mask = node.input(5);
  in.causal = node.getInt("unidirectional", 0) != 0;
  return {attend(node, in), in.k, in.v};
}

std::vector<Value> groupQueryAttention(OnnxNode& node) {
  if (!node.has(1) || !node.has(2) || node.rank(0) != 3)
    throw Unplannable{"packed queries, keys and values are not read"};
  const int64_t kvHeads = node.getInt("kv_num_heads", 1);
  AttentionInputs in;
  in.q = toHeads(node, node.input(0), node.getInt("num_heads", 1));
  in.k = toHeads(node, node.input(1), kvHeads);
  in.v = toHeads(node, node.input(2), kvHeads);
  in.causal = true;
  return {attend(node, in), in.k, in.v};
}

std::vector<Value> skipNorm(OnnxNode& node) {
  const bool simple = node.type == "SkipSimplifiedLayerNormalization";
  const size_t bias = simple ? 3 : 4;
  Value sum = node.add("Add", {node.input(0), node.input(1)})[0];
  if (node.has(bias)) sum = node.add("Add", {sum, node.input(bias)})[0];
  std::vector<Value> inputs{sum, node.input(2)};
  if (!simple && node.has(3)) inputs.push_back(node.input(3));
  const Value y = node.add(simple ? "RMSNormalization" : "LayerNormalization", inputs,
                           {{"axis", int64_t{-1}}})[0];
  return {y, y, y, sum};
}

/// Words, positions and (optional) segments looked up, added and normalised.
std::vector<Value> embedNorm(OnnxNode& node) {
  Value sum = node.add("Embedding", {node.input(0), node.input(2)})[0];
  sum = node.add("PositionEmbedding", {sum, node.input(3)})[0];
  if (node.has(1) && node.has(4))
    sum = node.add("Add", {sum, node.add("Embedding", {node.input(1), node.input(4)})[0]})[0];
  return node.add("LayerNormalization", {sum, node.input(5), node.input(6)},
                  {{"axis", int64_t{-1}}});
}

std::vector<Value> gelu(OnnxNode& node) {
  Value x = node.input(0);
  if (node.has(1)) x = node.add("Add", {x, node.input(1)})[0];
  return node.add("Gelu", {x});
}

Value swapped(OnnxNode& node, const Value& x, bool swap) {
  if (!swap || x.type.shape.size() < 2) return x;
  std::vector<int64_t> perm;
  for (size_t i = 0; i < x.type.shape.size(); ++i) perm.push_back(static_cast<int64_t>(i));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return realise(node, {"Transpose", {x}, {{"perm", perm}}})[0];
}

std::vector<Value> fusedMatMul(OnnxNode& node) {
  const bool transB = node.getInt("transB", 0) != 0;
  const Value a = swapped(node, node.input(0), node.getInt("transA", 0) != 0);
  const Value& b = node.input(1);
  if (b.isConstant() && isFloating(b.type.dtype) && b.type.shape.size() == 2 && !a.isConstant())
    return addLinear(node, a, b, transB, nullptr);
  return realise(node, {"MatMul", {a, swapped(node, b, transB)}, {}});
}

/// Convolution or product with the activation that an optimiser merged into it.
std::vector<Value> fusedConv(OnnxNode& node) {
  std::vector<Value> inputs{node.input(0), node.input(1)};
  if (node.has(2)) inputs.push_back(node.input(2));
  Value y = node.add("Conv", inputs, node.plainAttributes())[0];
  if (node.has(3)) y = node.add("Add", {y, node.input(3)})[0];
  const OperatorDef* activation = findOperatorDef(node.getString("activation", ""));
  const bool plain = activation && activation->opClass == OpClass::elementwise;
  return plain ? node.add(activation->name, {y}) : std::vector<Value>{y};
}

std::vector<Value> rotary(OnnxNode& node) {
  const Value& x = node.input(0);
  if (x.type.shape.size() == 4) return node.add("Rotary", {x});
  const int64_t heads = node.getInt("num_heads", 0);
  if (heads < 1) throw Unplannable{"the number of heads is not given"};
  const Value turned = node.add("Rotary", {toHeads(node, x, heads)})[0];
  return node.add("MergeHeads", {turned});
}

constexpr Translation kRows[] = {{"Attention", nullptr, attention},
                                 {"MultiHeadAttention", nullptr, multiHeadAttention},
                                 {"GroupQueryAttention", nullptr, groupQueryAttention},
                                 {"SkipLayerNormalization", nullptr, skipNorm},
                                 {"SkipSimplifiedLayerNormalization", nullptr, skipNorm},
                                 {"EmbedLayerNormalization", nullptr, embedNorm},
                                 {"FastGelu", nullptr, gelu},
                                 {"BiasGelu", nullptr, gelu},
                                 {"FusedMatMul", nullptr, fusedMatMul},
                                 {"FusedConv", nullptr, fusedConv},
                                 {"RotaryEmbedding", nullptr, rotary}};

}  // namespace

std::span<const Translation> fusedTranslations() {
  return kRows;
}

}  // namespace meshplan
