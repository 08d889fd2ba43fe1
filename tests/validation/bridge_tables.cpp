// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "profiles/device_name.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

struct Named {
  const char *theirs, *ours;
};

/// The beginnings of the table's names and the model zoo's.
constexpr Named kModels[] = {
    {"LLAMA3_8B", "llama3-8b"},
    {"LLAMA3_70B", "llama3-70b"},
    {"LLAMA3.1_405B", "llama3-405b"},
    {"Qwen3_30B_a3B", "qwen3-30b-a3b"},
    {"Qwen3_235B_a22B", "qwen3-235b-a22b"},
    {"GPT OSS 120B", "gpt-oss-120b"},
    {"DeepSeekV3", "deepseek-v3"},
};

ModelRequest modelOf(const std::string& name, int64_t sequence) {
  for (const Named& n : kModels) {
    if (!name.starts_with(n.theirs)) continue;
    ModelRequest model;
    model.source = n.ours;
    model.sequence = sequence;
    model.attention = "flash";
    const bool predictions =
        name.starts_with("DeepSeekV3") && name.find("w/o MTP") == std::string::npos;
    if (predictions) model.settings = {{"mtp", "1"}};
    return model;
  }
  throw Error(ErrorKind::input, fmt::format("no model of ours is '{}'", name));
}

/// A GB200 or GB300 domain is filled with 64 of its 72 devices, as the sizes of the table divide.
std::string clusterText(const std::string& system, int64_t gpus) {
  const std::string device =
      catalogueDevice(system.starts_with("DGX-") ? system.substr(4) : system);
  const int64_t perNode = device.starts_with("GB") ? 64 : 8;
  if (gpus <= perNode) return fmt::format("{}x{}", gpus, device);
  return fmt::format("{}x{}x{}", gpus / perNode, perNode, device);
}

/// An absent or "n/a" degree is one.
int64_t degree(const TableRow& r, const char* name) {
  const std::string text = r.textOr({name}, "1");
  return text == "n/a" ? 1 : std::max<int64_t>(1, r.integer({name}));
}

void requireBf16(const TableRow& r) {
  const std::string precision = r.textOr({"precision"}, "FP8");
  if (precision != "BF16")
    throw Error(ErrorKind::input, fmt::format("no precision of ours is {}", precision));
  if (r.text({"phase"}) == "LoRA")
    throw Error(ErrorKind::input, "low-rank adaptation trains other parameters than the model's");
  if (degree(r, "cp") > 1)
    throw Error(ErrorKind::input, "context parallelism is not in the space of plans");
}

Step stepOf(const TableRow& r) {
  requireBf16(r);
  const int64_t gpus = r.integer({"gpus"}), tp = degree(r, "tp"), pp = degree(r, "pp"),
                vp = degree(r, "vp"), ep = degree(r, "ep"), batch = r.integer({"gbs"}),
                micro = r.integer({"mbs"});
  const int64_t dp = gpus / tp / pp;
  Step step;
  step.model = modelOf(r.text({"model"}), r.integer({"seq"}));
  step.training.precision = Precision::bf16;
  step.training.gradientDType = DType::bf16;
  step.training.optimizer = OptimizerKind::adam;
  step.training.runtime = RuntimeKind::megatronCore;
  step.cluster = clusterText(r.text({"system"}), gpus);
  step.globalBatch = batch;
  const bool sharded = r.maybe({"fsdp"}).value_or(0) > 0;
  step.strategy =
      fmt::format("dp={},tp={},pp={},ep={},mbs={},zero={}", dp, tp, pp, ep, micro, sharded ? 3 : 1);
  if (tp > 1) step.strategy += ",sp=on";
  if (pp > 1 && vp > 1) step.strategy += fmt::format(",vpp={},schedule=interleaved", vp);
  return step;
}

/// The figure without the one in parentheses, which is another quantisation's.
double throughputOf(const TableRow& r) {
  return std::strtod(r.textOr({"tokens_s_gpu"}, "0").c_str(), nullptr);
}

}  // namespace

// NVIDIA-NeMo/Megatron-Bridge, docs/performance-summary: Megatron-Core on DGX nodes of 8 with one
// 400 Gb/s adapter per device, or NVL72 domains of GB200 and GB300; force-balanced routing of
// experts; distributed optimizer (ZeRO stage 1), or FSDP where the table gives its degree;
// gradients are reduced in bf16 (perf_recipes/_common.py: grad_reduce_in_fp32 = False). Assumed:
// flash attention, sequence parallelism with tensor parallelism, no recomputation. A parenthesised
// figure, another quantisation's, is not used. Not predicted: 8- and 4-bit precisions, LoRA,
// context parallelism, models that are not in the zoo (Nemotron's state-space layers, DeepSeek-V4,
// Kimi K2).
bool isBridgeThroughput(const Table& t) {
  return t.has({"tokens_s_gpu"}) && t.has({"model"}) && t.has({"system"}) && t.has({"ep"});
}

void predictBridgeThroughput(const Table& t, StepPredictor& predictor,
                             std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    if (throughputOf(r) <= 0) continue;
    Prediction p = rowOf(t, r, "tokens/s/GPU", throughputOf(r));
    p.table += r.textOr({"precision"}, "FP8") == "BF16" ? "_bf16" : "_8bit_and_less";
    try {
      const auto gpus = static_cast<double>(r.integer({"gpus"}));
      addStep(out, p, predictor, stepOf(r),
              [=](const PlanReport& report) { return report.tokensPerSecond / gpus; });
    } catch (const Error& e) {
      p.problem = e.what();
      out.push_back(std::move(p));
    }
  }
}

}  // namespace meshplan
