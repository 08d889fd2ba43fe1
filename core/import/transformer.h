// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/import/layer_writer.h"

namespace meshplan {

/// Gated activations multiply two projections of the input: three weight matrices instead of two.
/// tanhGelu and tanhGeglu: GELU approximated through tanh, as in GPT-2.
enum class Activation : uint8_t { gelu, tanhGelu, relu, silu, tanh, geglu, tanhGeglu, swiglu };

/// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): queries (if queryRank
/// > 0), keys and values come from low-rank projections; only ropeDim dimensions of a head are
/// rotated, and keys share those.
struct LatentAttention {
  int64_t queryRank = 0, keyValueRank = 0, nopeDim = 0, ropeDim = 0, valueDim = 0;
};

struct AttentionConfig {
  int64_t heads = 1, keyValueHeads = 1, headDim = 64;
  bool inputBias = false, outputBias = false, queryKeyNorm = false, rotary = false, causal = false;
  double dropout = 0;
  std::string implementation = "flash";
  int64_t relativeBuckets = 0;  // T5's relative position bias, shared by all layers
  std::optional<LatentAttention> latent;
};

struct FeedForwardConfig {
  int64_t width = 0;
  Activation activation = Activation::gelu;
  bool bias = false;
  double dropout = 0;  // after the activation
};

/// `sharedWidth` is that of an expert that all tokens use, 0: none; `correction`: a bias per expert
/// in the choice; `bias`: both products of an expert have one.
struct ExpertConfig {
  int64_t count = 0, chosen = 1, width = 0, sharedWidth = 0;
  bool correction = false, bias = false;
};

/// The parts of the checkpoint's module names inside a layer.
struct LayerNames {
  std::string layers = "model.layers";
  std::string attention = "self_attn", query = "qkv_proj", output = "o_proj";
  std::string attentionNorm = "input_layernorm";
  std::string cross, crossNorm;
  std::string feedForward = "mlp", up = "gate_up_proj", down = "down_proj";
  std::string feedForwardNorm = "post_attention_layernorm";
};

/// A stack of equal layers over x[b,s,hidden]; a layer is mixture-of-experts where `expertLayers`
/// says so.
struct TransformerStack {
  int64_t layers = 0;
  AttentionConfig attention;
  FeedForwardConfig feedForward;
  ExpertConfig experts;
  std::vector<bool> expertLayers;  // empty: none
  bool rmsNorm = false;
  bool postNorm = false;  // normalise after the residual addition (BERT)
  double residualDropout = 0;
  LayerNames names;
};

/// Appends the stack, or one layer of it, and returns its output. The projections of queries, keys
/// and values are one Linear whose blocks are key-value groups, and those of a gated activation one
/// Linear of interleaved pairs, so that splitting by head or by feature is splitting a whole axis.
/// `memory`: what decoder layers attend to crosswise.
TensorId appendStack(LayerWriter& writer, const TransformerStack& stack, TensorId x,
                     TensorId memory = {});
TensorId appendLayer(LayerWriter& writer, const TransformerStack& stack, int64_t index, TensorId x,
                     TensorId bias = {}, TensorId memory = {});
TensorId appendNorm(LayerWriter& writer, bool rms, TensorId x, const std::string& module,
                    const std::string& name);

}  // namespace meshplan
