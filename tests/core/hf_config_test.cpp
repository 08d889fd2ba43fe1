// SPDX-License-Identifier: Apache-2.0
#include "core/import/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/import/load_model.h"
#include "core/import/model_zoo.h"

namespace meshplan {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ModelRequest named(std::string source) {
  ModelRequest request;
  request.source = std::move(source);
  return request;
}

Model build(std::string_view text, ModelRequest request = {}) {
  if (request.source.empty()) request.source = "test";
  Model model = buildHfModel(ModelConfig(text), request);
  model.graph.validate();
  return model;
}

int64_t parameters(std::string_view text, ModelRequest request = {}) {
  return build(text, std::move(request)).graph.parameterCount();
}

Error errorOf(std::string_view text, ModelRequest request = {}) {
  try {
    build(text, std::move(request));
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 200);
  return Error(ErrorKind::internal, "none");
}

std::string llama(const std::string& more) {
  return R"({"model_type":"llama","vocab_size":1000,"hidden_size":64,"intermediate_size":128,
             "num_hidden_layers":2,"num_attention_heads":8,"max_position_embeddings":32)" +
         (more.empty() ? "" : "," + more) + "}";
}

const Operator& operatorNamed(const Graph& graph, const std::string& name) {
  for (const Operator& op : graph.operators())
    if (op.name == name) return op;
  throw std::runtime_error("no operator " + name);
}

struct Published {
  std::string_view name;
  int64_t parameters;
  std::string_view config;
};

// Counts of real checkpoints. Looked up in public pages or code: Llama-3-8B, Mixtral-8x7B, GPT-2
// (124M), Mistral-7B, Mistral-Nemo, Qwen2.5-7B (same shape as Qwen2-7B), DeepSeek-V3, ViT-B/16. The
// others are the figures usually quoted for the checkpoint; no page was at hand to check them
// against.
const Published kPublished[] = {
    {"meta-llama/Meta-Llama-3-8B", 8030261248,
     R"({"model_type":"llama","vocab_size":128256,"hidden_size":4096,"intermediate_size":14336,
         "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8})"},
    {"meta-llama/Llama-2-7b-hf", 6738415616,
     R"({"model_type":"llama","vocab_size":32000,"hidden_size":4096,"intermediate_size":11008,
         "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":null})"},
    {"meta-llama/Llama-3.2-1B (tied embeddings)", 1235814400,
     R"({"model_type":"llama","vocab_size":128256,"hidden_size":2048,"intermediate_size":8192,
         "num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":64,
         "tie_word_embeddings":true})"},
    {"mistralai/Mistral-7B-v0.1", 7241732096,
     R"({"model_type":"mistral","vocab_size":32000,"hidden_size":4096,"intermediate_size":14336,
         "num_hidden_layers":32,"num_attention_heads":32,"sliding_window":4096})"},
    {"mistralai/Mistral-Nemo-Base-2407 (heads narrower than hidden/heads)", 12247782400,
     R"({"model_type":"mistral","vocab_size":131072,"hidden_size":5120,"intermediate_size":14336,
         "num_hidden_layers":40,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":128})"},
    {"mistralai/Mixtral-8x7B-v0.1", 46702792704,
     R"({"model_type":"mixtral","vocab_size":32000,"hidden_size":4096,"intermediate_size":14336,
         "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8})"},
    {"Qwen/Qwen2-7B", 7615616512,
     R"({"model_type":"qwen2","vocab_size":152064,"hidden_size":3584,"intermediate_size":18944,
         "num_hidden_layers":28,"num_attention_heads":28,"num_key_value_heads":4,
         "use_sliding_window":false,"sliding_window":131072})"},
    {"Qwen/Qwen3-8B", 8190735360,
     R"({"model_type":"qwen3","vocab_size":151936,"hidden_size":4096,"intermediate_size":12288,
         "num_hidden_layers":36,"num_attention_heads":32,"num_key_value_heads":8})"},
    {"Qwen/Qwen3-30B-A3B", 30532122624,
     R"({"model_type":"qwen3_moe","vocab_size":151936,"hidden_size":2048,"intermediate_size":6144,
         "moe_intermediate_size":768,"num_hidden_layers":48,"num_attention_heads":32,
         "num_key_value_heads":4,"head_dim":128,"num_experts":128,"num_experts_per_tok":8})"},
    // The main model without its multi-token-prediction module: 671B, arXiv:2412.19437.
    {"deepseek-ai/DeepSeek-V3", 671026419200,
     R"({"model_type":"deepseek_v3","vocab_size":129280,"hidden_size":7168,
         "intermediate_size":18432,"moe_intermediate_size":2048,"num_hidden_layers":61,
         "num_attention_heads":128,"num_key_value_heads":128,"n_routed_experts":256,
         "n_shared_experts":1,"num_experts_per_tok":8,"first_k_dense_replace":3,
         "q_lora_rank":1536,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,
         "v_head_dim":128,"num_nextn_predict_layers":1})"},
    {"openai-community/gpt2", 124439808,
     R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,"n_embd":768,"n_layer":12,
         "n_head":12,"n_inner":null})"},
    {"openai-community/gpt2-xl", 1557611200,
     R"({"model_type":"gpt2","vocab_size":50257,"n_positions":1024,"n_embd":1600,"n_layer":48,
         "n_head":25})"},
    // BertModel with its pooler, without the heads.
    {"google-bert/bert-base-uncased", 109482240,
     R"({"model_type":"bert","architectures":["BertModel"],"vocab_size":30522,"hidden_size":768,
         "intermediate_size":3072,"num_hidden_layers":12,"num_attention_heads":12,
         "max_position_embeddings":512,"type_vocab_size":2})"},
    {"google-bert/bert-base-uncased (masked language model)", 109514298,
     R"({"model_type":"bert","architectures":["BertForMaskedLM"],"vocab_size":30522,
         "hidden_size":768,"intermediate_size":3072,"num_hidden_layers":12,
         "num_attention_heads":12,"max_position_embeddings":512,"type_vocab_size":2})"},
    {"google-bert/bert-base-uncased (pre-training heads)", 110106428,
     R"({"model_type":"bert","architectures":["BertForPreTraining"],"vocab_size":30522,
         "hidden_size":768,"intermediate_size":3072,"num_hidden_layers":12,
         "num_attention_heads":12,"max_position_embeddings":512,"type_vocab_size":2})"},
    {"google-t5/t5-base", 222903552,
     R"({"model_type":"t5","vocab_size":32128,"d_model":768,"d_kv":64,"d_ff":3072,
         "num_layers":12,"num_heads":12})"},
    // t5-v1_1-base: gated activation, head of its own.
    {"google/t5-v1_1-base", 247577856,
     R"({"model_type":"t5","vocab_size":32128,"d_model":768,"d_kv":64,"d_ff":2048,
         "num_layers":12,"num_decoder_layers":12,"num_heads":12,
         "feed_forward_proj":"gated-gelu","tie_word_embeddings":false})"},
    // torchvision's vit_b_16 has the same count.
    {"google/vit-base-patch16-224", 86567656,
     R"({"model_type":"vit","hidden_size":768,"intermediate_size":3072,"num_hidden_layers":12,
         "num_attention_heads":12,"image_size":224,"patch_size":16,"num_labels":1000})"},
};

TEST(HfConfig, ParameterCountsEqualThePublishedOnes) {
  for (const Published& p : kPublished) EXPECT_EQ(parameters(p.config), p.parameters) << p.name;
}

TEST(HfConfig, KeyValueHeadsMissingAndNullAreDifferent) {
  const std::string mistral =
      R"({"model_type":"mistral","vocab_size":1000,"hidden_size":256,"intermediate_size":128,
          "num_hidden_layers":1,"num_attention_heads":16)";
  const auto keyHeads = [](const Model& m) {
    const Operator& op = operatorNamed(m.graph, "model.layers.0.self_attn.attention");
    return m.graph.tensor(op.inputs[1]).type.shape[1];
  };
  EXPECT_EQ(keyHeads(build(mistral + "}")), 8);
  EXPECT_EQ(keyHeads(build(mistral + R"(,"num_key_value_heads":null})")), 16);
  EXPECT_EQ(keyHeads(build(mistral + R"(,"num_key_value_heads":2})")), 2);
  EXPECT_EQ(keyHeads(build(llama(""))), 8);
}

TEST(HfConfig, BiasesAndTiesChangeTheCount) {
  const int64_t plain = parameters(llama(""));
  EXPECT_EQ(parameters(llama(R"("attention_bias":true)")), plain + 2 * 4 * 64);
  EXPECT_EQ(parameters(llama(R"("mlp_bias":true)")), plain + 2 * (2 * 128 + 64));
  EXPECT_EQ(parameters(llama(R"("tie_word_embeddings":true)")), plain - 1000 * 64);
}

TEST(HfConfig, LayersOfMixedKindFollowTheFields) {
  const auto experts = [](const std::string& more) {
    const Model m = build(
        R"({"model_type":"qwen3_moe","vocab_size":1000,"hidden_size":64,"intermediate_size":128,
            "moe_intermediate_size":32,"num_hidden_layers":4,"num_attention_heads":8,
            "num_experts":4,"num_experts_per_tok":2)" +
        more + "}");
    std::vector<std::string> names;
    for (const Operator& op : m.graph.operators())
      if (op.def->name == "Dispatch") names.push_back(op.module);
    return names;
  };
  EXPECT_EQ(experts("").size(), 4u);
  EXPECT_THAT(experts(R"(,"decoder_sparse_step":2)"),
              testing::ElementsAre("model.layers.1.mlp", "model.layers.3.mlp"));
  EXPECT_THAT(experts(R"(,"mlp_only_layers":[0,1,2])"), testing::ElementsAre("model.layers.3.mlp"));
}

TEST(HfConfig, TheMultiTokenPredictionModuleIsAddedOnRequest) {
  const std::string config =
      R"({"model_type":"deepseek_v3","vocab_size":1000,"hidden_size":64,"intermediate_size":128,
          "moe_intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,
          "n_routed_experts":8,"num_experts_per_tok":2,"first_k_dense_replace":1,
          "q_lora_rank":null,"kv_lora_rank":16,"qk_nope_head_dim":8,"qk_rope_head_dim":4,
          "v_head_dim":8,"num_nextn_predict_layers":1})";
  ModelRequest request;
  request.settings["mtp"] = "1";
  const Model without = build(config), with = build(config, request);
  EXPECT_THAT(without.warnings, testing::Contains(HasSubstr("mtp=1")));
  // Attention 64*4*12 + 64*20 + 16 + 16*4*16 + 32*64, experts 3*64*32*(8+1) + 64*8 + 8, norms: two
  // of the layer, two of the inputs, one of the head; the projection 2*64*64.
  const int64_t layer = 3072 + 1280 + 16 + 1024 + 2048 + 55296 + 520 + 5 * 64 + 8192;
  EXPECT_EQ(with.graph.parameterCount() - without.graph.parameterCount(), layer);
  EXPECT_EQ(with.graph.outputs().size(), 1u);
}

TEST(HfConfig, AMultimodalFileIsEnteredAtItsTextConfig) {
  const Model m = build(R"({"model_type":"llava","vision_config":{"hidden_size":8},
      "text_config":{"model_type":"llama","vocab_size":32064,"max_position_embeddings":4096}})");
  EXPECT_EQ(m.graph.parameterCount(), 6738415616 + 2 * 64 * 4096);  // Llama-2-7B, 64 more tokens
  EXPECT_THAT(m.warnings, testing::Contains(HasSubstr("text_config")));
}

TEST(HfConfig, TheArchitectureStandsInForAMissingModelType) {
  EXPECT_EQ(build(R"({"architectures":["GPT2LMHeadModel"],"vocab_size":100,"n_positions":16,
                      "n_embd":32,"n_layer":1,"n_head":2})")
                .family,
            "gpt2");
}

TEST(HfConfig, AnotherHeadThanTheFilesIsSaid) {
  EXPECT_THAT(build(llama(R"("architectures":["LlamaForSequenceClassification"])")).warnings,
              testing::Contains(HasSubstr("LlamaForSequenceClassification")));
  EXPECT_THAT(build(llama(R"("architectures":["LlamaForCausalLM"])")).warnings, testing::IsEmpty());
}

TEST(HfConfig, TheSequenceIsChosenOrSaid) {
  const std::string config =
      R"({"model_type":"llama","vocab_size":100,"hidden_size":64,"intermediate_size":128,
          "num_hidden_layers":1,"num_attention_heads":8,"max_position_embeddings":131072})";
  const Model limited = build(config);
  EXPECT_EQ(limited.tokensPerSample, 4096);
  EXPECT_THAT(limited.warnings, testing::Contains(HasSubstr("4096")));
  ModelRequest request;
  request.sequence = 8192;
  const Model chosen = build(config, request);
  EXPECT_EQ(chosen.tokensPerSample, 8192);
  EXPECT_THAT(chosen.warnings, testing::IsEmpty());
  request.sequence = 0;
  EXPECT_EQ(errorOf(config, request).kind(), ErrorKind::usage);
  request.sequence = 2048;
  EXPECT_THAT(errorOf(R"({"model_type":"gpt2","vocab_size":100,"n_positions":1024,"n_embd":32,
                          "n_layer":1,"n_head":2})",
                      request)
                  .what(),
              HasSubstr("1024"));
}

TEST(HfConfig, SettingsOverrideFieldsAndUnknownOnesAreNamed) {
  ModelRequest request;
  request.settings = {{"layers", "3"}, {"num_key_value_heads", "2"}};
  const Model m = build(llama(""), request);
  EXPECT_EQ(std::count_if(m.graph.operators().begin(), m.graph.operators().end(),
                          [](const Operator& op) { return op.def->name == "Attention"; }),
            3);
  request.settings = {{"num_hiden_layers", "3"}};
  const Error e = errorOf(llama(""), request);
  EXPECT_EQ(e.kind(), ErrorKind::usage);
  EXPECT_THAT(e.remedy(), HasSubstr("num_hidden_layers"));
}

TEST(HfConfig, AttentionIsFlashUnlessAskedOtherwise) {
  ModelRequest request;
  const auto attention = [&] {
    return operatorNamed(build(llama(""), request).graph, "model.layers.0.self_attn.attention");
  };
  EXPECT_EQ(attention().attributes.getString("implementation", ""), "flash");
  request.attention = "math";
  EXPECT_EQ(attention().attributes.getString("implementation", ""), "math");
  request.attention = "fast";
  EXPECT_EQ(errorOf(llama(""), request).kind(), ErrorKind::usage);
}

TEST(HfConfig, GeluIsExactOrThroughTanhAsTheNameSays) {
  const auto form = [](const std::string& act) {
    const Model model = build(R"({"model_type":"gpt2","vocab_size":64,"n_positions":8,"n_embd":16,
                                  "n_layer":1,"n_head":2,"activation_function":")" +
                              act + "\"}");
    const Operator& op = operatorNamed(model.graph, "transformer.h.0.mlp.activation");
    EXPECT_EQ(op.def->name, "Gelu");
    return op.attributes.getString("approximate", "none");
  };
  EXPECT_EQ(form("gelu"), "none");
  for (const char* act : {"gelu_new", "gelu_fast", "gelu_pytorch_tanh"})
    EXPECT_EQ(form(act), "tanh");
}

TEST(HfConfig, AnUnknownTypeNamesTheNearestAndOffersAs) {
  const std::string text = R"({"model_type":"lama","vocab_size":1000,"hidden_size":64,
      "intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":8})";
  const Error e = errorOf(text);
  EXPECT_EQ(e.kind(), ErrorKind::input);
  EXPECT_THAT(e.what(), AllOf(HasSubstr("'lama'"), HasSubstr("'llama'"), HasSubstr("--as llama")));
  ModelRequest request;
  request.as = "llama";
  EXPECT_EQ(build(text, request).family, "llama");
  request.as = "lama";
  EXPECT_THAT(errorOf(text, request).remedy(), HasSubstr("'llama'"));
}

TEST(HfConfig, BrokenFilesGetOneClearErrorWithinASecond) {
  const auto start = std::chrono::steady_clock::now();
  const std::string whole = llama("");
  for (const std::string& text :
       {std::string(),
        std::string("null"),
        std::string("[1,2]"),
        std::string("{"),
        whole.substr(0, whole.size() / 2),
        whole + "}",
        std::string("\x00\xff\xfe\x89PNG", 7),
        std::string(1000000, '['),
        R"({"a":)" + std::string(1000000, '{'),
        std::string("{}"),
        llama(R"("num_key_value_heads":NaN)"),
        llama(R"("num_key_value_heads":-8)"),
        llama(R"("num_key_value_heads":0)"),
        llama(R"("num_key_value_heads":3)"),
        llama(R"("num_key_value_heads":"8")"),
        llama(R"("num_key_value_heads":8.5)"),
        llama(R"("num_key_value_heads":1e400)"),
        llama(R"("head_dim":99999999999999999999)"),
        llama(R"("head_dim":9223372036854775807)"),
        llama(R"("head_dim":[64])"),
        llama(R"("hidden_act":7)"),
        llama(R"("tie_word_embeddings":"yes")"),
        llama(R"("attention_dropout":1.5)"),
        llama(R"("num_hidden_layers":1000000)"),
        llama(R"("hidden_size":2147483648,"intermediate_size":2147483648)"),
        llama(R"("vocab_size":2147483648,"hidden_size":2147483648)")}) {
    EXPECT_EQ(errorOf(text).kind(), ErrorKind::input) << text.substr(0, 100);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(HfConfig, ErrorsNameTheFileAndTheField) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "meshplan_hf_config";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << llama(R"("num_key_value_heads":-8)");
  try {
    loadModel(named(folder.string()));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.file(), (folder / "config.json").string());
    EXPECT_EQ(e.place(), "num_key_value_heads");
    EXPECT_THAT(e.what(), HasSubstr("-8"));
  }
  std::filesystem::remove_all(folder);
}

TEST(HfConfig, ExamplesLoadAndMatchTheZoo) {
  const std::string root = std::string(MESHPLAN_SOURCE_DIR) + "/examples/models/";
  for (const char* name : {"llama3-8b", "mixtral-8x7b", "gpt2", "bert-base", "t5-base"}) {
    const Model file = loadModel(named(root + name + "/config.json"));
    const Model zoo = loadModel(named(name));
    EXPECT_EQ(file.name, name);
    EXPECT_EQ(file.graph.parameterCount(), zoo.graph.parameterCount()) << name;
    EXPECT_EQ(file.graph.operatorCount(), zoo.graph.operatorCount()) << name;
  }
  EXPECT_EQ(loadModel(named(root + "qwen3-30b-a3b")).name, "qwen3-30b-a3b");
}

}  // namespace
}  // namespace meshplan
