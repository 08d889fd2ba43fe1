// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "core/import/hf_families.h"

namespace meshplan {
namespace {

std::string architectureOf(HfSource s) {
  const std::vector<std::string> names = s.config.texts({"architectures"});
  return names.empty() ? "" : names[0];
}

/// Layers of BERT and ViT: they share every field.
TransformerStack readEncoder(HfSource s, int64_t hidden) {
  const ModelConfig& c = s.config;
  TransformerStack stack;
  stack.layers = c.size({"layers", "num_hidden_layers"}, {}, ModelConfig::kMostLayers);
  AttentionConfig& a = stack.attention;
  a.heads = a.keyValueHeads = c.size({"heads", "num_attention_heads"});
  if (hidden % a.heads != 0)
    throw Error(ErrorKind::input,
                "hidden_size " + std::to_string(hidden) + " does not divide by " +
                    std::to_string(a.heads) + " heads",
                "correct the sizes")
        .at("num_attention_heads");
  a.headDim = hidden / a.heads;
  a.inputBias = c.flag({"qkv_bias"}, true);
  a.outputBias = true;
  a.implementation = attentionImplementation(s.request);
  a.dropout = c.fraction({"dropout", "attention_probs_dropout_prob"}, 0);
  stack.residualDropout = c.fraction({"dropout", "hidden_dropout_prob"}, 0);
  stack.feedForward = {c.size({"ffn", "intermediate_size"}),
                       activationNamed(s, c.text({"hidden_act"}, "gelu"), false), true, 0};
  stack.names = {.layers = "bert.encoder.layer",
                 .attention = "attention",
                 .query = "self.query_key_value",
                 .output = "output.dense",
                 .attentionNorm = "attention.output.LayerNorm",
                 .cross = "",
                 .crossNorm = "",
                 .feedForward = "",
                 .up = "intermediate.dense",
                 .down = "output.dense",
                 .feedForwardNorm = "output.LayerNorm"};
  return stack;
}

/// A model without a head is trained towards given features.
void featureLoss(HfSource s, LayerWriter& writer, TensorId features) {
  const TensorId target = s.model.graph.addInput("target", s.model.graph.tensor(features).type, 0);
  s.model.graph.outputs().push_back(
      writer.add("MeanSquaredError", {features, target}, {}, "", "loss"));
  s.model.warnings.push_back(
      "the model has no head; a mean squared error on its pooled output stands for the loss");
}

TensorId pooler(LayerWriter& writer, TensorId x, const std::string& module) {
  const TensorId first = writer.add("FirstToken", {x}, {}, module, "first_token");
  const TensorId y = writer.linear(first, writer.extent(x, -1), {true}, module, "dense");
  return writer.add("Tanh", {y}, {}, module, "activation");
}

TensorId classLabels(HfSource s, const std::string& name) {
  return s.model.graph.addInput(name, {DType::i64, {s.model.referenceBatch}}, 0);
}

struct BertEmbeddings {
  TensorId table, output;
};

BertEmbeddings embedBert(HfSource s, LayerWriter& writer, int64_t hidden, int64_t positions,
                         int64_t sequence) {
  const std::string module = "bert.embeddings";
  const int64_t vocab = s.config.size({"vocab", "vocab_size"});
  const int64_t types = s.config.count({"type_vocab_size"}, 2);
  BertEmbeddings e;
  e.table = writer.parameter(module + ".word_embeddings.weight", {vocab, hidden});
  const TensorId ids = addTokens(s.model, "input_ids", sequence);
  e.output = writer.embedding(ids, e.table, module, "word_embeddings");
  const TensorId position =
      writer.parameter(module + ".position_embeddings.weight", {positions, hidden});
  e.output =
      writer.add("PositionEmbedding", {e.output, position}, {}, module, "position_embeddings");
  if (types > 0) {
    const TensorId table =
        writer.parameter(module + ".token_type_embeddings.weight", {types, hidden});
    const TensorId typeIds = addTokens(s.model, "token_type_ids", sequence);
    const TensorId typed = writer.embedding(typeIds, table, module, "token_type_embeddings");
    e.output = writer.add("Add", {e.output, typed}, {}, module, "sum");
  }
  e.output = writer.layerNorm(e.output, module, "LayerNorm");
  e.output = writer.dropout(e.output, s.config.fraction({"dropout", "hidden_dropout_prob"}, 0.1),
                            module, "dropout");
  return e;
}

/// Masked-language-model head: a dense layer with activation and norm, then the tied table with a
/// bias of its own.
TensorId maskedHead(HfSource s, LayerWriter& writer, TensorId x, TensorId table) {
  const std::string module = "cls.predictions";
  x = writer.linear(x, writer.extent(x, -1), {true}, module, "transform.dense");
  x = writer.add("Gelu", {x}, {}, module, "transform.activation");
  x = writer.layerNorm(x, module, "transform.LayerNorm");
  const int64_t vocab = writer.extent(table, 0);
  if (!s.config.flag({"tie_word_embeddings"}, true))
    return writer.linear(x, vocab, {true}, module, "decoder");
  const TensorId bias = writer.parameter(module + ".bias", {vocab});
  return writer.add("Linear", {x, table, bias}, {{"transposed", int64_t{1}}}, module, "decoder");
}

/// The tokens whose words are predicted. Which they are is data: the first stand for them.
TensorId leadingTokens(LayerWriter& writer, TensorId x, int64_t count) {
  if (count == writer.extent(x, 1)) return x;
  return writer.add("Slice", {x},
                    {{"axes", std::vector<int64_t>{1}},
                     {"starts", std::vector<int64_t>{0}},
                     {"ends", std::vector<int64_t>{count}}},
                    "cls.predictions", "masked_tokens");
}

/// Biases that no other kernel adds: all but those before an activation, which scripted models add
/// in its kernel.
void separateBiases(Graph& graph) {
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    Operator& op = graph.op(OpId(i));
    if (op.def->name == "Linear" && op.inputs.size() == 3)
      op.attributes.set("separate_bias", int64_t{1});
    if (op.def->name != "Gelu") continue;
    const OpId before = graph.tensor(op.inputs[0]).producer;
    if (before.valid() && graph.op(before).attributes.has("separate_bias"))
      graph.op(before).attributes.set("separate_bias", int64_t{0});
  }
}

void addLosses(Graph& graph, LayerWriter& writer) {
  auto& outputs = graph.outputs();
  if (outputs.size() < 2) return;
  outputs = {writer.add("Sum", outputs, {}, "", "total_loss")};
}

int64_t labelCount(HfSource s) {
  const int64_t named = s.config.entries({"id2label"});
  return s.config.size({"num_labels", "num_classes"}, named > 0 ? named : 2);
}

/// The norm of an encoder-decoder stack's end and its dropout.
TensorId finishStack(LayerWriter& writer, TensorId x, const std::string& module, double dropout) {
  x = writer.rmsNorm(x, module, "final_layer_norm");
  return writer.dropout(x, dropout, module, "dropout");
}

TransformerStack readT5(HfSource s) {
  const ModelConfig& c = s.config;
  TransformerStack stack;
  stack.rmsNorm = true;
  stack.layers =
      c.size({"layers", "num_hidden_layers", "num_layers"}, {}, ModelConfig::kMostLayers);
  AttentionConfig& a = stack.attention;
  a.heads = a.keyValueHeads = c.size({"heads", "num_heads"});
  a.headDim = c.size({"d_kv"}, 64);
  a.relativeBuckets = c.size({"relative_attention_num_buckets"}, 32);
  a.dropout = stack.residualDropout = c.fraction({"dropout", "dropout_rate"}, 0.1);
  a.implementation = attentionImplementation(s.request);
  const std::string projection = c.text({"feed_forward_proj"}, "relu");
  const bool gated = projection.rfind("gated-", 0) == 0;
  const std::string activation = gated ? projection.substr(6) : projection;
  // T5Config reads "gated-gelu" as gelu_new.
  stack.feedForward = {
      c.size({"ffn", "d_ff"}),
      activationNamed(s, gated && activation == "gelu" ? "gelu_new" : activation, gated), false,
      stack.residualDropout};
  return stack;
}

LayerNames t5Names(bool decoder) {
  const std::string last = decoder ? "layer.2" : "layer.1";
  return {.layers = decoder ? "decoder.block" : "encoder.block",
          .attention = "layer.0.SelfAttention",
          .query = "qkv",
          .output = "o",
          .attentionNorm = "layer.0.layer_norm",
          .cross = "layer.1.EncDecAttention",
          .crossNorm = "layer.1.layer_norm",
          .feedForward = last + ".DenseReluDense",
          .up = "wi",
          .down = "wo",
          .feedForwardNorm = last + ".layer_norm"};
}

}  // namespace

void buildBert(HfSource s) {
  const ModelConfig& c = s.config;
  const std::string architecture = architectureOf(s);
  const bool preTraining = architecture == "BertForPreTraining";
  const bool masked = preTraining || architecture == "BertForMaskedLM";
  const int64_t hidden = c.size({"hidden", "hidden_size"});
  const int64_t positions = c.size({"max_position_embeddings"}, 512);
  const int64_t sequence = sequenceLength(s, positions, 512, true);
  s.model.tokensPerSample = sequence;
  TransformerStack stack = readEncoder(s, hidden);
  stack.attention.dropout = c.fraction({"dropout", "attention_probs_dropout_prob"}, 0.1);
  stack.residualDropout = c.fraction({"dropout", "hidden_dropout_prob"}, 0.1);
  stack.postNorm = true;

  LayerWriter writer(s.model.graph);
  const BertEmbeddings e = embedBert(s, writer, hidden, positions, sequence);
  const TensorId x = appendStack(writer, stack, e.output);
  if (masked) {
    const int64_t predicted = std::min(sequence, c.count({"max_predictions_per_seq"}, sequence));
    writer.loss(maskedHead(s, writer, leadingTokens(writer, x, predicted), e.table),
                addTokens(s.model, "labels", predicted), "", "loss");
  }
  if (c.flag({"separate_bias"}, false)) separateBiases(s.model.graph);
  if (architecture == "BertForMaskedLM") return;
  const TensorId pooled = pooler(writer, x, "bert.pooler");
  if (preTraining)
    writer.loss(writer.linear(pooled, 2, {true}, "cls", "seq_relationship"),
                classLabels(s, "next_sentence_label"), "", "next_sentence_loss");
  else if (architecture == "BertForSequenceClassification")
    writer.loss(writer.linear(pooled, labelCount(s), {true}, "", "classifier"),
                classLabels(s, "labels"), "", "loss");
  else
    featureLoss(s, writer, pooled);
  addLosses(s.model.graph, writer);
}

void buildVit(HfSource s) {
  const ModelConfig& c = s.config;
  const bool headless = architectureOf(s) == "ViTModel";
  const int64_t hidden = c.size({"hidden", "hidden_size"});
  const int64_t image = c.size({"image_size"}, 224, 1 << 16);
  const int64_t patch = c.size({"patch_size"}, 16, image);
  const int64_t channels = c.size({"num_channels"}, 3);
  TransformerStack stack = readEncoder(s, hidden);
  stack.names.layers = "vit.encoder.layer";
  stack.names.query = "attention.query_key_value";
  stack.names.attentionNorm = "layernorm_before";
  stack.names.feedForwardNorm = "layernorm_after";

  LayerWriter writer(s.model.graph);
  const std::string module = "vit.embeddings";
  const std::string projection = module + ".patch_embeddings.projection";
  const TensorId pixels = s.model.graph.addInput(
      "pixel_values", {DType::f32, {s.model.referenceBatch, channels, image, image}}, 0);
  const TensorId kernel =
      writer.parameter(projection + ".weight", {hidden, channels, patch, patch});
  const TensorId bias = writer.parameter(projection + ".bias", {hidden});
  const TensorId patches =
      writer.add("Conv", {pixels, kernel, bias}, {{"strides", std::vector<int64_t>{patch, patch}}},
                 module, "patch_embeddings.projection");
  const TensorId token = writer.parameter(module + ".cls_token", {1, 1, hidden});
  TensorId x = writer.add("PatchTokens", {patches, token}, {}, module, "tokens");
  const TensorId position =
      writer.parameter(module + ".position_embeddings", {writer.extent(x, 1), hidden});
  x = writer.add("PositionEmbedding", {x, position}, {}, module, "position_embeddings");
  x = writer.dropout(x, stack.residualDropout, module, "dropout");
  x = writer.layerNorm(appendStack(writer, stack, x), "vit", "layernorm");
  if (headless) return featureLoss(s, writer, pooler(writer, x, "vit.pooler"));
  const TensorId first = writer.add("FirstToken", {x}, {}, "", "first_token");
  writer.loss(writer.linear(first, labelCount(s), {true}, "", "classifier"),
              classLabels(s, "labels"), "", "loss");
}

void buildT5(HfSource s) {
  const ModelConfig& c = s.config;
  const int64_t hidden = c.size({"hidden", "hidden_size", "d_model"});
  const int64_t vocab = c.size({"vocab", "vocab_size"});
  const int64_t sequence = sequenceLength(s, c.size({"n_positions"}, 512), 512, false);
  s.model.tokensPerSample = sequence;
  TransformerStack encoder = readT5(s), decoder = encoder;
  encoder.names = t5Names(false);
  decoder.names = t5Names(true);
  decoder.attention.causal = true;
  decoder.layers = c.size({"num_decoder_layers"}, encoder.layers, ModelConfig::kMostLayers);
  const double dropout = encoder.residualDropout;

  LayerWriter writer(s.model.graph);
  const TensorId ids = addTokens(s.model, "input_ids", sequence);
  const TensorId decoderIds = addTokens(s.model, "decoder_input_ids", sequence);
  const TensorId labels = addTokens(s.model, "labels", sequence);
  const TensorId table = writer.parameter("shared.weight", {vocab, hidden});
  TensorId x = writer.embedding(ids, table, "encoder", "embed_tokens");
  x = appendStack(writer, encoder, writer.dropout(x, dropout, "encoder", "embed_dropout"));
  const TensorId memory = finishStack(writer, x, "encoder", dropout);
  TensorId y = writer.embedding(decoderIds, table, "decoder", "embed_tokens");
  y = writer.dropout(y, dropout, "decoder", "embed_dropout");
  y = finishStack(writer, appendStack(writer, decoder, y, memory), "decoder", dropout);
  const bool tied = c.flag({"tie_word_embeddings"}, true);
  const TensorId head = writer.headWeight(table, tied);
  writer.loss(writer.head(y, head, tied, "", "lm_head"), labels, "", "loss");
}

}  // namespace meshplan
