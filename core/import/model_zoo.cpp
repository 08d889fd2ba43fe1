// SPDX-License-Identifier: Apache-2.0
#include "core/import/model_zoo.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/error.h"
#include "core/import/hf_config.h"
#include "core/import/image_kernels.h"
#include "core/import/vision_models.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

/// Fields as in the checkpoints' config.json on huggingface.co; GPT-3 after Brown et al. 2020
/// (arXiv:2005.14165), table 2.1, with the vocabulary of Megatron-LM (Narayanan et al. 2021), as
/// `gpt`.
struct Config {
  std::string_view name, text;
};

constexpr std::array kConfigs{
    Config{"gpt", R"({"model_type":"gpt2","vocab_size":51200,"seq":2048,
        "layers":24,"hidden":1024,"heads":16})"},
    Config{"gpt2", R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,
        "n_layer":12,"n_embd":768,"n_head":12})"},
    Config{"gpt2-medium", R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,
        "n_layer":24,"n_embd":1024,"n_head":16})"},
    Config{"gpt2-large", R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,
        "n_layer":36,"n_embd":1280,"n_head":20})"},
    Config{"gpt2-xl", R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,
        "n_layer":48,"n_embd":1600,"n_head":25})"},
    Config{"gpt3-175b", R"({"model_type":"gpt2","vocab_size":51200,"n_positions":2048,
        "n_layer":96,"n_embd":12288,"n_head":96})"},
    Config{"llama2-7b", R"({"model_type":"llama","vocab_size":32000,"hidden_size":4096,
        "intermediate_size":11008,"num_hidden_layers":32,"num_attention_heads":32,
        "num_key_value_heads":32,"max_position_embeddings":4096})"},
    Config{"llama2-13b", R"({"model_type":"llama","vocab_size":32000,"hidden_size":5120,
        "intermediate_size":13824,"num_hidden_layers":40,"num_attention_heads":40,
        "num_key_value_heads":40,"max_position_embeddings":4096})"},
    Config{"llama2-70b", R"({"model_type":"llama","vocab_size":32000,"hidden_size":8192,
        "intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,
        "num_key_value_heads":8,"max_position_embeddings":4096})"},
    Config{"llama3-8b", R"({"model_type":"llama","vocab_size":128256,"hidden_size":4096,
        "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
        "num_key_value_heads":8,"max_position_embeddings":8192})"},
    Config{"llama3-70b", R"({"model_type":"llama","vocab_size":128256,"hidden_size":8192,
        "intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,
        "num_key_value_heads":8,"max_position_embeddings":8192})"},
    Config{"llama3-405b", R"({"model_type":"llama","vocab_size":128256,"hidden_size":16384,
        "intermediate_size":53248,"num_hidden_layers":126,"num_attention_heads":128,
        "num_key_value_heads":8,"max_position_embeddings":131072})"},
    Config{"mixtral-8x7b", R"({"model_type":"mixtral","vocab_size":32000,"hidden_size":4096,
        "intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
        "num_key_value_heads":8,"num_local_experts":8,"num_experts_per_tok":2,
        "max_position_embeddings":32768,"sliding_window":null})"},
    Config{"qwen3-30b-a3b", R"({"model_type":"qwen3_moe","vocab_size":151936,"hidden_size":2048,
        "intermediate_size":6144,"moe_intermediate_size":768,"num_hidden_layers":48,
        "num_attention_heads":32,"num_key_value_heads":4,"head_dim":128,"num_experts":128,
        "num_experts_per_tok":8,"max_position_embeddings":40960})"},
    Config{"qwen3-235b-a22b", R"({"model_type":"qwen3_moe","vocab_size":151936,"hidden_size":4096,
        "intermediate_size":12288,"moe_intermediate_size":1536,"num_hidden_layers":94,
        "num_attention_heads":64,"num_key_value_heads":4,"head_dim":128,"num_experts":128,
        "num_experts_per_tok":8,"max_position_embeddings":40960})"},
    Config{"gpt-oss-120b", R"({"model_type":"mixtral","vocab_size":201088,"hidden_size":2880,
        "intermediate_size":2880,"num_hidden_layers":36,"num_attention_heads":64,
        "num_key_value_heads":8,"head_dim":64,"num_local_experts":128,"num_experts_per_tok":4,
        "max_position_embeddings":131072,"expert_bias":true,"sliding_window":null})"},
    Config{"deepseek-v3", R"({"model_type":"deepseek_v3","vocab_size":129280,"hidden_size":7168,
        "intermediate_size":18432,"moe_intermediate_size":2048,"num_hidden_layers":61,
        "num_attention_heads":128,"num_key_value_heads":128,"n_routed_experts":256,
        "n_shared_experts":1,"num_experts_per_tok":8,"first_k_dense_replace":3,"moe_layer_freq":1,
        "q_lora_rank":1536,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,
        "v_head_dim":128,"num_nextn_predict_layers":1,"max_position_embeddings":163840})"},
    Config{"bert-base", R"({"model_type":"bert","architectures":["BertForPreTraining"],
        "vocab_size":30522,"hidden_size":768,"intermediate_size":3072,"num_hidden_layers":12,
        "num_attention_heads":12,"max_position_embeddings":512,"type_vocab_size":2})"},
    Config{"bert-large", R"({"model_type":"bert","architectures":["BertForPreTraining"],
        "vocab_size":30522,"hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":24,
        "num_attention_heads":16,"max_position_embeddings":512,"type_vocab_size":2})"},
    Config{"t5-base", R"({"model_type":"t5","vocab_size":32128,"d_model":768,"d_kv":64,
        "d_ff":3072,"num_layers":12,"num_heads":12})"},
    Config{"t5-large", R"({"model_type":"t5","vocab_size":32128,"d_model":1024,"d_kv":64,
        "d_ff":4096,"num_layers":24,"num_heads":16})"},
    Config{"vit-b16", R"({"model_type":"vit","hidden_size":768,"intermediate_size":3072,
        "num_hidden_layers":12,"num_attention_heads":12,"image_size":224,"patch_size":16,
        "num_labels":1000})"},
    Config{"vit-l16", R"({"model_type":"vit","hidden_size":1024,"intermediate_size":4096,
        "num_hidden_layers":24,"num_attention_heads":16,"image_size":224,"patch_size":16,
        "num_labels":1000})"},
};

struct Network {
  std::string_view name;
  Graph (*build)(int64_t batch);
};

constexpr std::array kNetworks{Network{"resnet50", buildResnet50}, Network{"vgg16", buildVgg16},
                               Network{"mlp", buildPerceptron}, Network{"cnn", buildSmallCnn}};

constexpr std::array kZoo{
    ZooEntry{"gpt",
             "Megatron-style GPT of any size: --set layers=,hidden=,heads=,vocab=,ffn=,seq="},
    ZooEntry{"gpt2", "GPT-2 small, 124 M parameters"},
    ZooEntry{"gpt2-medium", "GPT-2 medium, 355 M parameters"},
    ZooEntry{"gpt2-large", "GPT-2 large, 774 M parameters"},
    ZooEntry{"gpt2-xl", "GPT-2 XL, 1.56 B parameters"},
    ZooEntry{"gpt3-175b", "GPT-3, 175 B parameters, sequence 2048"},
    ZooEntry{"llama2-7b", "Llama 2, 6.74 B parameters"},
    ZooEntry{"llama2-13b", "Llama 2, 13.0 B parameters"},
    ZooEntry{"llama2-70b", "Llama 2, 69.0 B parameters, grouped-query attention"},
    ZooEntry{"llama3-8b", "Llama 3, 8.03 B parameters, grouped-query attention"},
    ZooEntry{"llama3-70b", "Llama 3, 70.6 B parameters, grouped-query attention"},
    ZooEntry{"llama3-405b", "Llama 3.1, 406 B parameters, grouped-query attention"},
    ZooEntry{"mixtral-8x7b", "Mixtral, 46.7 B parameters, 8 experts of which 2 per token"},
    ZooEntry{"qwen3-30b-a3b", "Qwen3, 30.5 B parameters, 128 experts of which 8 per token"},
    ZooEntry{"qwen3-235b-a22b", "Qwen3, 235 B parameters, 128 experts of which 8 per token"},
    ZooEntry{"gpt-oss-120b",
             "gpt-oss, 117 B parameters, 128 experts of which 4 per token; all attention counts as "
             "full, its attention biases and sinks are left out"},
    ZooEntry{"deepseek-v3", "DeepSeek-V3, 671 B parameters, latent attention, 256 experts"},
    ZooEntry{"bert-base", "BERT base with its pre-training heads, 110 M parameters"},
    ZooEntry{"bert-large", "BERT large with its pre-training heads, 336 M parameters"},
    ZooEntry{"t5-base", "T5 base, encoder and decoder, 223 M parameters"},
    ZooEntry{"t5-large", "T5 large, encoder and decoder, 738 M parameters"},
    ZooEntry{"vit-b16", "Vision Transformer base, patches of 16, 86.6 M parameters"},
    ZooEntry{"vit-l16", "Vision Transformer large, patches of 16, 304 M parameters"},
    ZooEntry{"resnet50", "ResNet-50 on 224 x 224 images, 25.6 M parameters"},
    ZooEntry{"vgg16", "VGG-16 on 224 x 224 images, 138 M parameters"},
    ZooEntry{"mlp", "the perceptron 784-1024-512-10"},
    ZooEntry{"cnn", "two 5 x 5 convolutions (1-10-20) and 320-50-10 on 28 x 28 images"},
};

Model buildNetwork(const Network& network, const ModelRequest& request) {
  Model model;
  model.name = model.source = request.source;
  model.family = network.name;
  model.graph = network.build(model.referenceBatch);
  applyImageSettings(model.graph, model.name, request.settings);
  propagateBatch(model.graph);
  return model;
}

}  // namespace

std::span<const ZooEntry> modelZoo() {
  return kZoo;
}

Model buildZooModel(const ModelRequest& request) {
  for (const Network& n : kNetworks)
    if (n.name == request.source) return buildNetwork(n, request);
  for (const Config& c : kConfigs)
    if (c.name == request.source) return buildHfModel(ModelConfig(c.text), request);
  std::vector<std::string_view> names;
  for (const ZooEntry& e : kZoo) names.push_back(e.name);
  throw Error(ErrorKind::usage,
              "there is no model '" + request.source + "', neither a file nor a name",
              didYouMean(request.source, names, "meshplan models lists the names"));
}

}  // namespace meshplan
