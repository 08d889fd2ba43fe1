// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

const TableRow::Names kModel{"model", "network", "arch"},
    kDevice{"gpu", "device", "system", "gpu_type", "accelerator", "name_gpu", "hardware"},
    kGpus{"gpus", "num_gpus", "num_gpu", "n_gpus", "ngpus", "gpu_count", "devices"},
    kBatch{"batch_per_gpu", "batch_size_per_gpu", "bs_per_gpu", "per_gpu_batch",
           "local_batch",   "micro_batch",        "mbs"},
    kGlobalBatch{"global_batch", "global_batch_size", "total_batch", "gbs"},
    kAnyBatch{"batch", "batch_size", "bs"},
    kAccumulation{"accumulation", "accumulation_steps", "grad_accumulation", "accum"},
    kSequence{"seq", "seq_len", "sequence_length", "seqlen", "sequence"},
    kPrecision{"precision", "dtype", "prec", "mode"}, kFramework{"framework", "software", "source"},
    kThroughput{"images_s",
                "images_per_s",
                "images_per_sec",
                "img_s",
                "img_per_s",
                "img_per_sec",
                "imgs_s",
                "ips",
                "sequences_s",
                "sequences_per_s",
                "sequences_per_sec",
                "seq_s",
                "seq_per_s",
                "seqs_per_sec",
                "sentences_s",
                "sentences_per_sec",
                "samples_s",
                "samples_per_s",
                "samples_per_sec",
                "throughput"},
    kTime{"iter_ms", "step_ms", "time_ms", "ms_per_step", "train_ms"};

// The step's fixed part is below a hundredth of so many micro-batches.
constexpr int64_t kMostAccumulation = 48;

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool says(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* w) { return text.find(w) != std::string::npos; });
}

bool isImages(const std::string& model) {
  return says(model, {"resnet", "rn50", "vgg"});
}

std::string modelName(const std::string& text) {
  if (says(text, {"resnet-50", "resnet50", "resnet_50", "rn50"})) return "resnet50";
  if (says(text, {"vgg16", "vgg-16", "vgg_16"})) return "vgg16";
  if (text.find("bert") == std::string::npos)
    throw Error(ErrorKind::input, "no model of ours is " + text);
  return says(text, {"base"}) ? "bert-base" : "bert-large";
}

/// The catalogue's name. A V100 is an SXM2 of 16 GB unless the text says more, an A100 an SXM of
/// 80 GB.
std::string deviceName(const std::string& text) {
  const bool pcie = says(text, {"pcie"});
  if (says(text, {"v100", "dgx-1", "dgx1", "dgx-2", "dgx2"})) {
    const bool large = says(text, {"32g", "32 g"});
    if (says(text, {"sxm3", "dgx-2", "dgx2"})) return "V100-SXM3-32GB";
    if (pcie) return large ? "V100-PCIe-32GB" : "V100-PCIe-16GB";
    return large ? "V100-SXM2-32GB" : "V100-SXM2-16GB";
  }
  if (says(text, {"a100"})) {
    const bool small = says(text, {"40g", "40 g"});
    if (pcie) return small ? "A100-PCIe-40GB" : "A100-PCIe-80GB";
    return small ? "A100-SXM-40GB" : "A100-SXM-80GB";
  }
  if (says(text, {"h100"})) return pcie ? "H100-PCIe" : "H100-SXM";
  return text;
}

std::string clusterText(const std::string& device, int64_t gpus) {
  const int64_t perNode = device == "V100-SXM3-32GB" ? 16 : 8;
  if (gpus <= perNode) return fmt::format("{}x{}", gpus, device);
  const char* network = device.starts_with("V100")   ? "infiniband-edr"
                        : device.starts_with("A100") ? "8xinfiniband-hdr"
                                                     : "8xinfiniband-ndr";
  return fmt::format("{}x{}x{}:{}", gpus / perNode, perNode, device, network);
}

Precision precisionOf(const std::string& text, const std::string& device) {
  if (says(text, {"tf32"})) return Precision::tf32;
  if (says(text, {"bf16", "bfloat"})) return Precision::bf16;
  if (says(text, {"fp16", "float16", "f16", "amp", "mixed", "half"})) return Precision::fp16;
  // Libraries compute fp32 convolutions and products in tf32 where there is tf32.
  return device.starts_with("V100") ? Precision::fp32 : Precision::tf32;
}

int64_t batchPerGpu(const TableRow& r, int64_t gpus) {
  if (r.has(kBatch)) return r.integer(kBatch);
  if (r.has(kGlobalBatch)) return std::max<int64_t>(1, r.integer(kGlobalBatch) / gpus);
  return r.integer(kAnyBatch);
}

/// Tokens of the mean sample where a batch holds samples of like length: half of a sequence of 512
/// is padding (Krell et al., arXiv:2107.02027), and a bin of 64 tokens leaves half a bin.
int64_t meanLength(int64_t sequence) {
  return sequence >= 512 ? sequence / 2 + 32 : sequence;
}

/// BERT fine-tuned on SQuAD at 384, else with its pre-training heads; attention as plain products
/// and softmax. NVIDIA's recipes predict the words of at most 20 of 128 and 80 of 512 tokens, in
/// TensorFlow always and in PyTorch from 21.11 on; from there on PyTorch and, as
/// assumed, PaddlePaddle also bin samples by length (LDDL). XLA joins biases with what follows;
/// PyTorch up to 20.06 adds them apart.
ModelRequest bertRequest(const std::string& model, int64_t sequence, const std::string& framework) {
  const bool early = says(framework, {"pytorch-19", "pytorch-20.0"});
  const bool binned = says(framework, {"pytorch-21.1", "paddlepaddle-22"});
  ModelRequest request;
  request.source = model;
  request.attention = "math";
  request.sequence = binned ? meanLength(sequence) : sequence;
  if (sequence == 384)
    request.settings["architectures"] = R"(["BertForSequenceClassification"])";
  else if (!early && !says(framework, {"mxnet", "oneflow"}))
    request.settings["max_predictions_per_seq"] = sequence >= 512 ? "80" : "20";
  if (early) request.settings["separate_bias"] = "true";
  return request;
}

/// Containers of PyTorch up to 20.06 keep 16-bit images as NCHW too. MXNet (its `runner`) and
/// PaddlePaddle (`program.py`) fuse normalisation, sum and activation in mixed precision only;
/// OneFlow is assumed to, and XLA to fuse elementwise operators whatever the precision.
std::map<std::string, std::string> imageSettings(const std::string& framework, bool mixed) {
  std::map<std::string, std::string> settings;
  if (mixed && says(framework, {"mxnet", "paddle", "oneflow"})) settings["fused"] = "on";
  if (says(framework, {"xla"})) settings["fused"] = "elementwise";
  if (mixed && says(framework, {"pytorch-18", "pytorch-19", "pytorch-20.0"}))
    settings["layout"] = "NCHW";
  return settings;
}

Step stepOf(const TableRow& r) {
  const int64_t gpus = r.integerOr(kGpus, 1);
  const std::string model = modelName(lower(r.text(kModel))),
                    device = deviceName(lower(r.text(kDevice)));
  const int64_t mbs = batchPerGpu(r, gpus);
  const int64_t accumulation =
      std::clamp<int64_t>(r.integerOr(kAccumulation, 1), 1, kMostAccumulation);
  Step step;
  step.training.precision = precisionOf(lower(r.textOr(kPrecision, "amp")), lower(device));
  const bool mixed = isMixed(step.training.precision);
  step.cluster = clusterText(device, gpus);
  step.globalBatch = gpus * mbs * accumulation;
  step.strategy = fmt::format("dp={},mbs={}", gpus, mbs);
  if (isImages(model)) {
    step.model.source = model;
    step.model.settings = imageSettings(lower(r.textOr(kFramework, "")), mixed);
    step.training.optimizer = OptimizerKind::momentum;
  } else {
    step.model = bertRequest(model, r.integerOr(kSequence, 512), lower(r.textOr(kFramework, "")));
    step.training.optimizer = OptimizerKind::adamw;
  }
  return step;
}

void predictSamples(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const bool time = !r.has(kThroughput);
    Prediction p = rowOf(t, r, time ? "ms" : "samples/s", r.number(time ? kTime : kThroughput));
    try {
      addStep(out, p, predictor, stepOf(r), [&](const PlanReport& report) {
        return time ? report.stepTime.value * 1e3 : report.samplesPerSecond;
      });
    } catch (const Error& e) {
      p.problem = e.what();
      out.push_back(p);
    }
  }
}

bool namesModel(const Table& t, bool images) {
  return t.has(kModel) && !t.rows.empty() &&
         isImages(lower(t.rows.front().text(kModel))) == images &&
         (images || says(lower(t.rows.front().text(kModel)), {"bert"}));
}

}  // namespace

bool isCnnThroughput(const Table& t) {
  return namesModel(t, true) && t.has(kDevice) && (t.has(kThroughput) || t.has(kTime));
}

void predictCnnThroughput(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  predictSamples(t, predictor, out);
}

bool isBertThroughput(const Table& t) {
  return namesModel(t, false) && t.has(kDevice) && (t.has(kThroughput) || t.has(kTime));
}

void predictBertThroughput(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  predictSamples(t, predictor, out);
}

}  // namespace meshplan
