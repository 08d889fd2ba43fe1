// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "core/import/hf_families.h"

namespace meshplan {
namespace {

constexpr int64_t kLongestDefault = 4096;  // without --seq

Attributes lossAttributes(const ModelConfig& c) {
  Attributes attributes;
  if (c.flag({"unfused_loss"}, false)) attributes.set("unfused", int64_t{1});
  if (c.flag({"half_loss"}, false)) attributes.set("half", int64_t{1});
  return attributes;
}

/// What a family's class fills in: sizes that a nested text_config may leave out, and the number of
/// key-value heads where the field is missing (a null there means "as many as heads").
struct Defaults {
  int64_t hidden, width, layers, heads, vocab;
  int64_t keyValueHeads;  // 0: as many as heads
  int64_t headDim = 0;    // 0: hidden / heads
  int64_t positions = 32768;
};

/// A decoder-only language model with rotary positions.
struct Decoder {
  int64_t hidden = 0, vocab = 0, positions = 0;
  bool tied = false;
  TransformerStack stack;
};

int64_t coreSize(HfSource s, ModelConfig::Names names, int64_t classDefault,
                 int64_t limit = ModelConfig::kLargestSize) {
  if (s.nested && !s.config.has(names))
    s.model.warnings.push_back("text_config has no " + std::string(*(names.end() - 1)) +
                               "; the class default " + std::to_string(classDefault) + " is used");
  return s.config.size(names, s.nested ? std::optional(classDefault) : std::nullopt, limit);
}

int64_t headDim(HfSource s, int64_t hidden, int64_t heads, int64_t classDefault) {
  const bool divides = hidden % heads == 0;
  const int64_t own =
      classDefault > 0 && !s.config.isNull({"head_dim"}) ? classDefault : hidden / heads;
  if (!s.config.has({"head_dim"}) && own == hidden / heads && !divides)
    throw Error(ErrorKind::input,
                "hidden_size " + std::to_string(hidden) + " does not divide by " +
                    std::to_string(heads) + " heads",
                "give head_dim or correct the sizes")
        .at("num_attention_heads");
  return s.config.size({"head_dim"}, std::max<int64_t>(own, 1));
}

int64_t keyValueHeads(HfSource s, int64_t heads, int64_t classDefault) {
  const ModelConfig::Names names{"kv_heads", "num_key_value_heads"};
  const bool asHeads = classDefault == 0 || s.config.isNull(names);
  const int64_t kv = s.config.size(names, asHeads ? heads : classDefault);
  if (heads % kv != 0)
    throw Error(ErrorKind::input,
                std::to_string(heads) + " heads do not divide over " + std::to_string(kv) +
                    " key-value heads",
                "correct the number of heads")
        .at("num_key_value_heads");
  return kv;
}

Decoder readDecoder(HfSource s, const Defaults& d) {
  Decoder r;
  r.hidden = coreSize(s, {"hidden", "hidden_size"}, d.hidden);
  r.vocab = coreSize(s, {"vocab", "vocab_size"}, d.vocab);
  r.positions = s.config.size({"max_position_embeddings"}, d.positions);
  r.tied = s.config.flag({"tie_word_embeddings"}, false);
  r.stack.rmsNorm = true;
  r.stack.layers = coreSize(s, {"layers", "num_hidden_layers"}, d.layers, ModelConfig::kMostLayers);
  AttentionConfig& a = r.stack.attention;
  a.heads = coreSize(s, {"heads", "num_attention_heads"}, d.heads);
  a.keyValueHeads = keyValueHeads(s, a.heads, d.keyValueHeads);
  a.headDim = headDim(s, r.hidden, a.heads, d.headDim);
  a.rotary = a.causal = true;
  a.inputBias = a.outputBias = s.config.flag({"attention_bias"}, false);
  a.dropout = s.config.fraction({"dropout", "attention_dropout"}, 0);
  a.implementation = attentionImplementation(s.request);
  r.stack.feedForward.width = coreSize(s, {"ffn", "intermediate_size"}, d.width);
  r.stack.feedForward.bias = s.config.flag({"mlp_bias"}, false);
  r.stack.feedForward.activation = activationNamed(s, s.config.text({"hidden_act"}, "silu"), true);
  return r;
}

void warnOfWindow(HfSource s, int64_t sequence, bool used) {
  const int64_t window = used ? s.config.count({"sliding_window"}, 0) : 0;
  if (window > 0 && window < sequence)
    s.model.warnings.push_back("the sliding window of " + std::to_string(window) +
                               " is not used: attention is costed in full");
}

struct Ends {
  TensorId ids, labels, table, hidden, head;
  int64_t sequence = 0;
};

Ends writeDecoder(HfSource s, const Decoder& d, LayerWriter& writer) {
  Ends e;
  e.sequence = sequenceLength(s, d.positions, kLongestDefault, false);
  s.model.tokensPerSample = e.sequence;
  e.ids = addTokens(s.model, "input_ids", e.sequence);
  e.labels = addTokens(s.model, "labels", e.sequence);
  e.table = writer.parameter("model.embed_tokens.weight", {d.vocab, d.hidden});
  e.hidden = writer.embedding(e.ids, e.table, "model", "embed_tokens");
  e.hidden = appendStack(writer, d.stack, e.hidden);
  const TensorId x = writer.rmsNorm(e.hidden, "model", "norm");
  e.head = writer.headWeight(e.table, d.tied);
  writer.loss(writer.head(x, e.head, d.tied, "", "lm_head"), e.labels, "", "loss",
              lossAttributes(s.config));
  return e;
}

void finishDecoder(HfSource s, const Decoder& d, bool window) {
  LayerWriter writer(s.model.graph);
  const Ends ends = writeDecoder(s, d, writer);
  warnOfWindow(s, ends.sequence, window);
}

void checkChosen(const ExpertConfig& e) {
  if (e.chosen > e.count)
    throw Error(ErrorKind::input,
                std::to_string(e.chosen) + " experts per token are more than the " +
                    std::to_string(e.count) + " experts",
                "correct the number of experts")
        .at("num_experts_per_tok");
}

constexpr int64_t kMostExperts = 65536;

LatentAttention readLatent(HfSource s) {
  LatentAttention l;
  l.queryRank = s.config.has({"q_lora_rank"}) || !s.config.isNull({"q_lora_rank"})
                    ? s.config.count({"q_lora_rank"}, 1536)
                    : 0;
  l.keyValueRank = s.config.size({"kv_lora_rank"}, 512);
  l.nopeDim = s.config.size({"qk_nope_head_dim"}, 128);
  l.ropeDim = s.config.size({"qk_rope_head_dim"}, 64);
  l.valueDim = s.config.size({"v_head_dim"}, 128);
  return l;
}

/// DeepSeek-V3's experts: arXiv:2412.19437, section 2.1.2.
void readDeepseekExperts(HfSource s, TransformerStack& stack) {
  ExpertConfig& e = stack.experts;
  e.count = s.config.size({"experts", "n_routed_experts"}, 256, kMostExperts);
  e.chosen = s.config.size({"num_experts_per_tok"}, 8);
  e.width = s.config.size({"moe_intermediate_size"}, 2048);
  e.sharedWidth = checkedMul(e.width, s.config.count({"n_shared_experts"}, 1));
  e.correction = true;
  checkChosen(e);
  const int64_t dense = s.config.count({"first_k_dense_replace"}, 3);
  const int64_t every = s.config.size({"moe_layer_freq"}, 1);
  for (int64_t i = 0; i < stack.layers; ++i)
    stack.expertLayers.push_back(i >= dense && i % every == 0);
}

/// One multi-token-prediction module (arXiv:2412.19437, section 2.2): the projection of the two
/// normalised inputs side by side is the sum of two projections of half the width.
void appendPrediction(HfSource s, const Decoder& d, LayerWriter& writer, const Ends& ends,
                      int64_t index) {
  const std::string module =
      joinNames(d.stack.names.layers, std::to_string(d.stack.layers + index));
  const TensorId next = writer.embedding(ends.ids, ends.table, module, "embed_tokens");
  const TensorId a = writer.linear(writer.rmsNorm(next, module, "enorm"), d.hidden, {}, module,
                                   "eh_proj.embedding");
  const TensorId b = writer.linear(writer.rmsNorm(ends.hidden, module, "hnorm"), d.hidden, {},
                                   module, "eh_proj.hidden");
  TransformerStack layer = d.stack;
  layer.expertLayers.assign(static_cast<size_t>(d.stack.layers + index + 1), true);
  TensorId x = writer.add("Add", {a, b}, {}, module, "eh_proj");
  x = appendLayer(writer, layer, d.stack.layers + index, x);
  x = writer.rmsNorm(x, module, "shared_head.norm");
  writer.loss(writer.head(x, ends.head, d.tied, module, "shared_head.head"), ends.labels, module,
              "loss");
  auto& outputs = s.model.graph.outputs();
  const TensorId sum = writer.add("Add", {outputs[0], outputs[1]}, {}, module, "total_loss");
  outputs = {sum};
}

}  // namespace

void buildLlama(HfSource s) {
  Decoder d = readDecoder(s, {4096, 11008, 32, 32, 32000, 0, 0, 2048});
  finishDecoder(s, d, false);
}

void buildMistral(HfSource s) {
  Decoder d = readDecoder(s, {4096, 14336, 32, 32, 32000, 8});
  finishDecoder(s, d, true);
}

void buildMixtral(HfSource s) {
  Decoder d = readDecoder(s, {4096, 14336, 32, 32, 32000, 8});
  ExpertConfig& e = d.stack.experts;
  e.count = s.config.size({"experts", "num_local_experts"}, 8, kMostExperts);
  e.chosen = s.config.size({"num_experts_per_tok"}, 2);
  e.width = d.stack.feedForward.width;
  e.bias = s.config.flag({"expert_bias"}, false);
  checkChosen(e);
  d.stack.expertLayers.assign(static_cast<size_t>(d.stack.layers), true);
  d.stack.names.feedForward = "block_sparse_moe";
  finishDecoder(s, d, true);
}

/// Qwen2's code adds biases to the query, key and value projections although no field says so.
void buildQwen2(HfSource s) {
  Decoder d = readDecoder(s, {4096, 22016, 32, 32, 151936, 32});
  d.stack.attention.inputBias = true;
  d.stack.attention.outputBias = false;
  finishDecoder(s, d, s.config.flag({"use_sliding_window"}, false));
}

void buildQwen3(HfSource s) {
  Decoder d = readDecoder(s, {4096, 22016, 32, 32, 151936, 32, 128});
  d.stack.attention.queryKeyNorm = true;
  finishDecoder(s, d, s.config.flag({"use_sliding_window"}, false));
}

void buildQwen3Moe(HfSource s) {
  Decoder d = readDecoder(s, {2048, 6144, 24, 32, 151936, 4});
  d.stack.attention.queryKeyNorm = true;
  ExpertConfig& e = d.stack.experts;
  e.count = s.config.count({"experts", "num_experts", "num_local_experts"}, 128, kMostExperts);
  e.chosen = s.config.size({"num_experts_per_tok"}, 8);
  e.width = s.config.size({"moe_intermediate_size"}, 768);
  if (e.count > 0) checkChosen(e);
  const int64_t step = s.config.size({"decoder_sparse_step"}, 1);
  const std::vector<int64_t> dense = s.config.sizes({"mlp_only_layers"});
  for (int64_t i = 0; i < d.stack.layers; ++i) {
    const bool only = std::find(dense.begin(), dense.end(), i) != dense.end();
    d.stack.expertLayers.push_back(!only && e.count > 0 && (i + 1) % step == 0);
  }
  finishDecoder(s, d, s.config.flag({"use_sliding_window"}, false));
}

void buildDeepseekV3(HfSource s) {
  Decoder d = readDecoder(s, {7168, 18432, 61, 128, 129280, 0, 1, 163840});
  d.stack.attention.latent = readLatent(s);
  d.stack.attention.keyValueHeads = d.stack.attention.heads;
  readDeepseekExperts(s, d.stack);
  const int64_t available =
      s.config.count({"num_mtp_layers", "num_nextn_predict_layers"}, 0, ModelConfig::kMostLayers);
  const int64_t predictions = s.config.count({"mtp"}, 0, 1);
  if (available > 0 && predictions == 0)
    s.model.warnings.push_back(
        "the multi-token-prediction module is left out; --set mtp=1 adds it");
  LayerWriter writer(s.model.graph);
  const Ends ends = writeDecoder(s, d, writer);
  for (int64_t i = 0; i < predictions; ++i) appendPrediction(s, d, writer, ends, i);
}

void buildGpt2(HfSource s) {
  const ModelConfig& c = s.config;
  TransformerStack stack;
  const int64_t hidden = c.size({"hidden", "hidden_size", "n_embd"});
  const int64_t vocab = c.size({"vocab", "vocab_size"});
  const int64_t positions =
      c.size({"n_positions", "n_ctx", "max_position_embeddings"},
             std::max<int64_t>(s.request.sequence.value_or(c.size({"seq"}, 1024)), 1));
  const double dropout = c.fraction({"dropout", "embd_pdrop"}, 0.1);
  stack.layers = c.size({"layers", "num_hidden_layers", "n_layer"}, {}, ModelConfig::kMostLayers);
  AttentionConfig& a = stack.attention;
  a.heads = a.keyValueHeads = c.size({"heads", "num_attention_heads", "n_head"});
  if (hidden % a.heads != 0)
    throw Error(ErrorKind::input,
                "n_embd " + std::to_string(hidden) + " does not divide by " +
                    std::to_string(a.heads) + " heads",
                "correct the sizes")
        .at("n_head");
  a.headDim = hidden / a.heads;
  a.inputBias = a.outputBias = a.causal = true;
  a.dropout = c.fraction({"dropout", "attn_pdrop"}, 0.1);
  a.implementation = attentionImplementation(s.request);
  stack.residualDropout = c.fraction({"dropout", "resid_pdrop"}, 0.1);
  stack.feedForward = {c.size({"ffn", "n_inner"}, checkedMul(4, hidden)),
                       activationNamed(s, c.text({"activation_function"}, "gelu_new"), false), true,
                       0};
  stack.names = {.layers = "transformer.h",
                 .attention = "attn",
                 .query = "c_attn",
                 .output = "c_proj",
                 .attentionNorm = "ln_1",
                 .cross = "",
                 .crossNorm = "",
                 .feedForward = "mlp",
                 .up = "c_fc",
                 .down = "c_proj",
                 .feedForwardNorm = "ln_2"};

  const int64_t sequence = sequenceLength(s, positions, kLongestDefault, true);
  s.model.tokensPerSample = sequence;
  LayerWriter writer(s.model.graph);
  const TensorId ids = addTokens(s.model, "input_ids", sequence);
  const TensorId labels = addTokens(s.model, "labels", sequence);
  const TensorId table = writer.parameter("transformer.wte.weight", {vocab, hidden});
  const TensorId position = writer.parameter("transformer.wpe.weight", {positions, hidden});
  TensorId x = writer.embedding(ids, table, "transformer", "wte");
  x = writer.add("PositionEmbedding", {x, position}, {}, "transformer", "wpe");
  x = writer.dropout(x, dropout, "transformer", "drop");
  x = appendStack(writer, stack, x);
  x = writer.layerNorm(x, "transformer", "ln_f");
  const bool tied = c.flag({"tie_word_embeddings"}, true);
  const TensorId head = writer.headWeight(table, tied);
  writer.loss(writer.head(x, head, tied, "", "lm_head"), labels, "", "loss",
              lossAttributes(s.config));
}

}  // namespace meshplan
