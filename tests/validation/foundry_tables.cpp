// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

const TableRow::Names kGpus{"num_GPUs"}, kMicroBatch{"MicroBatchSize"},
    kGlobalBatch{"GlobalBatchSize"}, kThroughput{"Throughput_(T/s/GPU)"};

struct Shape {
  const char* name;
  int64_t layers, hidden, heads;
};

/// scripts/train/yamls/pretrain/mpt-*.yaml of the source.
constexpr Shape kShapes[] = {
    {"125m", 12, 768, 12}, {"350m", 24, 1024, 16}, {"760m", 24, 1536, 12},
    {"1b", 24, 2048, 16},  {"3b", 32, 2560, 20},   {"7b", 32, 4096, 32},
    {"13b", 40, 5120, 40}, {"30b", 48, 7168, 56},  {"70b", 80, 8192, 64},
};

const Shape& shapeOf(const std::string& name) {
  for (const Shape& s : kShapes)
    if (s.name == name) return s;
  throw Error(ErrorKind::input, fmt::format("no MPT model of the source is '{}'", name));
}

ModelRequest mpt(const Shape& shape, int64_t sequence) {
  ModelRequest model;
  model.source = "gpt";
  model.settings = {{"layers", std::to_string(shape.layers)},
                    {"hidden", std::to_string(shape.hidden)},
                    {"heads", std::to_string(shape.heads)},
                    {"vocab", "50368"},
                    {"seq", std::to_string(sequence)}};
  model.sequence = sequence;
  model.attention = "flash-1";
  return model;
}

std::string clusterText(const std::string& gpu, int64_t gpus) {
  const bool hopper = gpu.starts_with("h100");
  const char* device = gpu == "h100_80gb"   ? "H100-SXM"
                       : gpu == "a100_80gb" ? "A100-SXM-80GB"
                       : gpu == "a100_40gb" ? "A100-SXM-40GB"
                                            : nullptr;
  if (!device) throw Error(ErrorKind::input, fmt::format("no device of the source is '{}'", gpu));
  if (gpus <= 8) return fmt::format("{}x{}", gpus, device);
  return fmt::format("{}x8x{}:{}", gpus / 8, device, hopper ? "8xinfiniband-ndr" : "8xroce-200g");
}

int zeroStage(const std::string& sharding) {
  if (sharding == "FULL_SHARD") return 3;
  if (sharding == "SHARD_GRAD_OP") return 2;
  throw Error(ErrorKind::input, fmt::format("no sharding of ours is {}", sharding));
}

Step stepOf(const TableRow& r) {
  const std::string &precision = r.text({"Precision"}), &mode = r.text({"MP_Mode"});
  if (precision != "amp_bf16" && precision != "bf16")
    throw Error(ErrorKind::input, fmt::format("no precision of ours is {}", precision));
  if (r.textOr({"Activation_CPUOffload"}, "False") == "True")
    throw Error(ErrorKind::input, "activations are never offloaded to the host");
  const int64_t gpus = r.integer(kGpus), batch = r.integer(kGlobalBatch);
  int64_t micro = r.integer(kMicroBatch);
  while (micro > 1 && batch % (gpus * micro) != 0) --micro;
  Step step;
  step.model = mpt(shapeOf(r.text({"Model"})), r.integer({"SeqLen_(T)"}));
  step.training.precision = Precision::bf16;
  step.training.optimizer = OptimizerKind::adamw;
  step.training.gradientDType = mode == "PURE" ? DType::bf16 : DType::f32;
  step.cluster = clusterText(r.text({"GPU"}), gpus);
  step.globalBatch = batch;
  step.strategy =
      fmt::format("dp={},mbs={},zero={}{}", gpus, micro, zeroStage(r.text({"Sharding_Strategy"})),
                  r.text({"Activation_Checkpointing"}) == "True" ? ",recompute=full" : "");
  return step;
}

}  // namespace

// mosaicml/llm-foundry, scripts/train/benchmarking: MPT (GPT-2's block without dropout, learned
// positions, tied embeddings, vocabulary 50368; FlashAttention's first version, as the tables are
// older than torch 2) under PyTorch's FSDP: FULL_SHARD is
// ZeRO stage 3, SHARD_GRAD_OP stage 2; MP mode DEFAULT reduces gradients in fp32, PURE in bf16;
// checkpointing recomputes whole blocks; AdamW. Micro-batches that do not divide a device's batch
// are rounded down to one that does. A100 nodes have 1600 Gb/s of RoCE by the table's own section;
// for H100 it says nothing and 400 Gb/s per device are assumed. fp8 is not a precision of ours.
bool isFoundryThroughput(const Table& t) {
  return t.has({"Sharding_Strategy"}) && t.has({"MP_Mode"}) && t.has(kThroughput);
}

void predictFoundryThroughput(const Table& t, StepPredictor& predictor,
                              std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    if (r.maybe(kThroughput).value_or(0) <= 0) continue;
    Prediction p = rowOf(t, r, "tokens/s/GPU", r.number(kThroughput));
    try {
      const auto gpus = static_cast<double>(r.integer(kGpus));
      addStep(out, p, predictor, stepOf(r),
              [=](const PlanReport& report) { return report.tokensPerSecond / gpus; });
    } catch (const Error& e) {
      p.problem = e.what();
      out.push_back(std::move(p));
    }
  }
}

}  // namespace meshplan
