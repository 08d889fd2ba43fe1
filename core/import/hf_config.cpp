// SPDX-License-Identifier: Apache-2.0
#include "core/import/hf_config.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/error.h"
#include "core/import/hf_families.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

struct Family {
  std::string_view modelType;
  std::string_view architecture;  // how the names of its model classes start
  void (*build)(HfSource);
  std::string_view planned = {};  // the class that is built; empty: the builder looks itself
};

constexpr std::array kFamilies{
    Family{"bert", "Bert", buildBert},
    Family{"deepseek_v3", "DeepseekV3", buildDeepseekV3, "DeepseekV3ForCausalLM"},
    Family{"gpt2", "GPT2", buildGpt2, "GPT2LMHeadModel"},
    Family{"llama", "Llama", buildLlama, "LlamaForCausalLM"},
    Family{"mistral", "Mistral", buildMistral, "MistralForCausalLM"},
    Family{"mixtral", "Mixtral", buildMixtral, "MixtralForCausalLM"},
    Family{"qwen2", "Qwen2", buildQwen2, "Qwen2ForCausalLM"},
    Family{"qwen3", "Qwen3", buildQwen3, "Qwen3ForCausalLM"},
    Family{"qwen3_moe", "Qwen3Moe", buildQwen3Moe, "Qwen3MoeForCausalLM"},
    Family{"t5", "T5", buildT5, "T5ForConditionalGeneration"},
    Family{"vit", "ViT", buildVit},
};

const Family* findFamily(std::string_view modelType) {
  for (const Family& f : kFamilies)
    if (f.modelType == modelType) return &f;
  return nullptr;
}

/// The class name up to "For..." or "Model": LlamaForCausalLM is Llama.
std::string_view architectureStem(std::string_view architecture) {
  for (std::string_view end : {"For", "Model", "LMHead", "Encoder"})
    if (const size_t at = architecture.find(end); at != std::string_view::npos)
      architecture = architecture.substr(0, at);
  return architecture;
}

const Family* familyOfArchitecture(const ModelConfig& config) {
  const std::vector<std::string> architectures = config.texts({"architectures"});
  if (architectures.empty()) return nullptr;
  for (const Family& f : kFamilies)
    if (f.architecture == architectureStem(architectures[0])) return &f;
  return nullptr;
}

const Family& familyAs(const std::string& as) {
  if (const Family* family = findFamily(as)) return *family;
  const std::vector<std::string_view> known = hfModelTypes();
  throw Error(ErrorKind::usage, "--as does not know '" + as + "'",
              didYouMean(as, known, "one of llama, gpt2, bert, t5, ..."));
}

[[noreturn]] void rejectType(const std::string& type) {
  const std::vector<std::string_view> known = hfModelTypes();
  const std::vector<std::string> nearest = nearestNames(type, known, 1);
  const std::string like = nearest.empty() ? "llama" : nearest[0];
  const std::string problem = type.empty() ? "the file has no model_type that is known"
                                           : "unknown model_type '" + type + "'";
  throw Error(
      ErrorKind::input, problem,
      (nearest.empty() ? "" : "the nearest is '" + like + "'; ") + "--as " + like +
          " reads it like one; known are " +
          [&] {
            std::string list;
            for (std::string_view k : known) list += (list.empty() ? "" : ", ") + std::string(k);
            return list;
          }())
      .at("model_type");
}

/// The family of the file as a whole, or of its text model, which `config` is then moved into.
const Family& chooseFamily(ModelConfig& config, const ModelRequest& request, bool& nested) {
  const std::string type = config.text({"model_type"}, "");
  const Family* family = request.as ? &familyAs(*request.as) : findFamily(type);
  if (!config.has({"hidden_size", "n_embd", "d_model"}) && config.enter("text_config")) {
    nested = true;
    if (!request.as) family = findFamily(config.text({"model_type"}, ""));
  }
  if (!family) family = familyOfArchitecture(config);
  if (!family) rejectType(type);
  return *family;
}

/// Warns of what the file holds and the plan does not.
void warnOfTheRest(const ModelConfig& config, const Family& family, bool nested, Model& model) {
  if (nested) model.warnings.push_back("only the text model (text_config) is planned");
  if (config.has({"auto_map"}))
    model.warnings.push_back("the model's own code (auto_map) is not run; it is read as " +
                             model.family);
  const std::vector<std::string> architectures = config.texts({"architectures"});
  if (nested || family.planned.empty() || architectures.empty()) return;
  if (architectures[0] != family.planned)
    model.warnings.push_back("the file describes a " + architectures[0] + "; a " +
                             std::string(family.planned) + " is planned");
}

std::string nameOf(const std::string& source) {
  const std::filesystem::path path(source);
  if (path.extension() != ".json") {
    const std::string last = path.filename().string();
    return last.empty() ? path.parent_path().filename().string() : last;
  }
  const std::string folder = path.has_parent_path() ? path.parent_path().filename().string() : "";
  return path.stem() == "config" && !folder.empty() ? folder : path.stem().string();
}

}  // namespace

std::vector<std::string_view> hfModelTypes() {
  std::vector<std::string_view> types;
  for (const Family& f : kFamilies) types.push_back(f.modelType);
  return types;
}

Model buildHfModel(ModelConfig config, const ModelRequest& request) {
  Model model;
  config.override(request.settings);
  bool nested = false;
  const Family& family = chooseFamily(config, request, nested);
  model.source = request.source;
  model.name = nameOf(request.source);
  model.family = family.modelType;
  warnOfTheRest(config, family, nested, model);
  family.build({config, request, model, nested});
  config.checkOverrides();
  propagateBatch(model.graph);
  return model;
}

Model importHfConfig(const ModelRequest& request) {
  namespace fs = std::filesystem;
  constexpr int64_t kMostBytes = 16 * kMiB;
  std::error_code failure;
  const std::string path = fs::is_directory(request.source, failure)
                               ? (fs::path(request.source) / "config.json").string()
                               : request.source;
  try {
    return buildHfModel(ModelConfig(readTextFile(path, kMostBytes)), request);
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

std::string attentionImplementation(const ModelRequest& request) {
  const std::string name = request.attention.value_or("flash");
  if (name == "flash" || name == "flash-1" || name == "fused-softmax" || name == "math")
    return name;
  throw Error(ErrorKind::usage, "--attention does not know '" + name + "'",
              "flash, flash-1, fused-softmax or math");
}

int64_t sequenceLength(HfSource source, int64_t positions, int64_t most, bool learned) {
  constexpr int64_t kLongest = int64_t{1} << 24;
  const bool given = source.request.sequence.has_value() || source.config.has({"seq"});
  const int64_t sequence =
      source.request.sequence.value_or(source.config.size({"seq"}, std::min(positions, most)));
  if (sequence < 1 || sequence > kLongest)
    throw Error(ErrorKind::usage, "--seq is " + std::to_string(sequence),
                "give a sequence length from 1 to " + std::to_string(kLongest));
  if (learned && sequence > positions)
    throw Error(ErrorKind::usage,
                "a sequence of " + std::to_string(sequence) + " is longer than the model's " +
                    std::to_string(positions) + " positions",
                "use --seq " + std::to_string(positions) + " or less");
  if (!given && positions > most)
    source.model.warnings.push_back("planned at sequence length " + std::to_string(most) +
                                    " (the model allows " + std::to_string(positions) +
                                    "); --seq chooses another");
  return sequence;
}

namespace {

/// The names in Hugging Face's transformers.activations.ACT2FN of GELU through tanh.
bool isTanhGelu(const std::string& name) {
  static constexpr const char* kNames[] = {"gelu_new", "gelu_fast", "gelu_pytorch_tanh",
                                           "gelu_accurate", "gelu_python_tanh"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

Activation activationNamed(HfSource source, const std::string& name, bool gated) {
  const bool silu = name == "silu" || name == "swish";
  const bool gelu = name.find("gelu") != std::string::npos;
  if (!silu && !gelu && name != "relu" && name != "tanh")
    source.model.warnings.push_back("the activation '" + name + "' is costed like gelu");
  if (isTanhGelu(name)) return gated ? Activation::tanhGeglu : Activation::tanhGelu;
  if (gated) return silu ? Activation::swiglu : Activation::geglu;
  if (silu) return Activation::silu;
  return name == "relu" ? Activation::relu : name == "tanh" ? Activation::tanh : Activation::gelu;
}

TensorId addTokens(Model& model, const std::string& name, int64_t sequence) {
  return model.graph.addInput(name, {DType::i64, {model.referenceBatch, sequence}}, 0, 1);
}

}  // namespace meshplan
