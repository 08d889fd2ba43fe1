// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

// Megatron-LM's own data-parallel wrapper reduces all gradients after the last backward pass, in
// one contiguous buffer: a bucket that no gradient fills.
constexpr const char* kNoOverlap = "bucket=1000000,transfers=blocking,stages=even";

TrainingOptions mixed(Precision precision, DType gradient) {
  TrainingOptions options;
  options.precision = precision;
  options.optimizer = OptimizerKind::adam;
  options.gradientDType = gradient;
  options.runtime = RuntimeKind::megatron;
  return options;
}

int64_t nodesOf(int64_t gpus, int64_t perNode) {
  return std::max<int64_t>(1, gpus / perNode);
}

std::string clusterText(int64_t gpus, const char* device, const char* network,
                        int64_t perNode = 8) {
  const int64_t nodes = nodesOf(gpus, perNode);
  if (nodes == 1) return fmt::format("{}x{}", gpus, device);
  return fmt::format("{}x{}x{}:{}", nodes, perNode, device, network);
}

/// FLOPs of an iteration by the source's equation 3 (Narayanan et al. 2021): full recomputation
/// 96, none 72.
double flopsOf(double factor, double batch, double s, double l, double h, double v) {
  return factor * batch * s * l * h * h * (1 + s / (6 * h) + v / (16 * l * h));
}

/// The largest number of micro-batch samples up to `most` that divides what a replica gets.
int64_t fittingMicroBatch(int64_t batch, int64_t replicas, int64_t most) {
  int64_t mbs = most;
  while (mbs > 1 && batch % (replicas * mbs) != 0) --mbs;
  return mbs;
}

}  // namespace

// vTrain (arXiv:2312.12391) and the configurations in its repository: Megatron-DeepSpeed on nodes
// of 8 A100-SXM-80GB, 4 HDR adapters (800 Gb/s) per node, fp16, fused softmax, bias+GELU and
// bias+dropout+add, full recomputation, 1F1B, no gradient buckets, GPT-2's vocabulary. Assumed:
// gradients in fp16, as Megatron-LM accumulates them unless told otherwise.
bool isVtrainSteps(const Table& t) {
  return t.has({"global_batch"}) && t.has({"micro_batch"}) && t.has({"iter_ms"}) && t.has({"dp"});
}

void predictVtrainSteps(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const int64_t gpus = r.integer({"gpus"}), tp = r.integer({"tp"}), dp = r.integer({"dp"}),
                  pp = r.integer({"pp"});
    Step step;
    step.model = megatronGpt(r.integer({"layers"}), r.integer({"hidden"}), r.integer({"heads"}),
                             r.integer({"seq"}), 50257, tp);
    step.training = mixed(Precision::fp16, DType::f16);
    step.cluster = clusterText(gpus, "A100-SXM-80GB", "4xinfiniband-hdr");
    step.globalBatch = r.integer({"global_batch"});
    step.strategy = fmt::format("dp={},tp={},pp={},mbs={},recompute=full,{}", dp, tp, pp,
                                r.integer({"micro_batch"}), kNoOverlap);
    Prediction p = rowOf(t, r, "ms", r.number({"iter_ms"}));
    p.choice = fmt::format("{} {} {} {} {}", r.text({"layers"}), r.text({"hidden"}),
                           r.text({"heads"}), gpus, step.globalBatch);
    addStep(out, p, predictor, step,
            [](const PlanReport& report) { return report.stepTime.value * 1e3; });
  }
}

// Narayanan et al. (arXiv:2104.04473), table 1: Selene, nodes of 8 A100-SXM-80GB with 8 HDR
// adapters, mixed precision, full recomputation, interleaved schedule, scatter/gather between
// stages; figures count equation 3 with recomputation. Micro-batches and virtual stages are not in
// the table: as section 5.1 has it, micro-batch 1 for models split by pipeline (2 virtual stages
// where the layers divide), up to 4 for the others.
//
// Megatron-Core 0.8, README figures: H100 nodes with 8 NDR adapters, bf16, flash attention,
// distributed optimizer, gradient reduction and gathering overlapped, tensor-parallel
// communication with sequence parallelism, no recomputation; model FLOPs (72, without
// recomputation). Micro-batch and virtual stages are assumed as above.
bool isMegatronSteps(const Table& t) {
  return t.has({"tflops_per_gpu"}) && t.has({"params_b"}) && t.has({"tp"}) && t.has({"batch"});
}

namespace {

int64_t virtualStages(int64_t layers, int64_t pp, int64_t microBatches) {
  if (pp == 1 || microBatches % pp != 0) return 1;
  for (int64_t v : {2, 3})
    if (layers % (pp * v) == 0) return v;
  return 1;
}

std::string pipelineText(int64_t layers, int64_t pp, int64_t microBatches) {
  const int64_t v = virtualStages(layers, pp, microBatches);
  return v > 1 ? fmt::format(",pp={},vpp={},schedule=interleaved", pp, v)
               : fmt::format(",pp={}", pp);
}

}  // namespace

void predictMegatronSteps(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  const bool core = t.has({"dp"});
  for (const TableRow& r : t.rows) {
    const int64_t gpus = r.integer({"gpus"}), tp = r.integer({"tp"}), pp = r.integer({"pp"}),
                  layers = r.integer({"layers"}), hidden = r.integer({"hidden"}),
                  batch = r.integer({"batch"});
    const int64_t dp = gpus / tp / pp, sequence = core ? 4096 : 2048,
                  vocabulary = core ? 131072 : 51200;
    const int64_t mbs = fittingMicroBatch(batch, dp, core ? 2 : pp > 1 ? 1 : 4);
    Step step;
    step.model = megatronGpt(layers, hidden, r.integer({"heads"}), sequence, vocabulary, tp);
    step.training = mixed(core ? Precision::bf16 : Precision::fp16, core ? DType::f32 : DType::f16);
    step.cluster = core ? clusterText(gpus, "H100-SXM", "8xinfiniband-ndr")
                        : clusterText(gpus, "A100-SXM-80GB", "8xinfiniband-hdr");
    step.globalBatch = batch;
    step.strategy = fmt::format("dp={},tp={},mbs={}{}", dp, tp, mbs,
                                pipelineText(layers, pp, batch / dp / mbs));
    if (core) {
      step.model.attention = "flash";
      step.training.runtime = RuntimeKind::megatronCore;
      step.strategy +=
          fmt::format(",zero=1,stages=even{}", tp > 1 ? ",sp=on,collectives=overlapped" : "");
    } else {
      step.strategy += fmt::format(",recompute=full,{}", kNoOverlap);
    }
    const double flops = flopsOf(core ? 72 : 96, double(batch), double(sequence), double(layers),
                                 double(hidden), double(vocabulary));
    addStep(out, rowOf(t, r, "TFLOP/s", r.number({"tflops_per_gpu"})), predictor, step,
            [=](const PlanReport& report) {
              return flops / report.stepTime.value / double(gpus) / 1e12;
            });
  }
}

// Narayanan et al. (arXiv:2104.04473), table 2: as table 1; GPT-3 (96 layers, hidden 12288) and a
// 530-billion model (105 layers, hidden 20480, 128 heads). ZeRO-3 is DeepSpeed's, without model
// parallelism, its communication overlapped; `mp` of the other scheme is 8-way tensor times
// pipeline parallelism, interleaved where the batch allows.
bool isZeroComparison(const Table& t) {
  return t.has({"scheme"}) && t.has({"mp"}) && t.has({"microbatch"});
}

void predictZeroComparison(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const bool small = r.number({"params_b"}) < 300;
    const int64_t layers = small ? 96 : 105, hidden = small ? 12288 : 20480,
                  heads = small ? 96 : 128, gpus = r.integer({"gpus"}),
                  batch = r.integer({"batch"}), mp = r.integer({"mp"}),
                  mbs = r.integer({"microbatch"});
    const int64_t tp = std::min<int64_t>(mp, 8), pp = mp / tp, dp = gpus / mp;
    Step step;
    step.model = megatronGpt(layers, hidden, heads, 2048, 51200, tp);
    step.training = mixed(Precision::fp16, DType::f16);
    step.cluster = clusterText(gpus, "A100-SXM-80GB", "8xinfiniband-hdr");
    step.globalBatch = batch;
    step.strategy =
        mp == 1
            ? fmt::format("dp={},mbs={},zero=3,recompute=full,gather=parameter,bucket=1", dp, mbs)
            : fmt::format("dp={},tp={},mbs={}{},recompute=full,{}", dp, tp, mbs,
                          pipelineText(layers, pp, batch / dp / mbs), kNoOverlap);
    const double flops = flopsOf(96, double(batch), 2048, double(layers), double(hidden), 51200);
    Prediction p = rowOf(t, r, "TFLOP/s", r.number({"tflops_per_gpu"}));
    p.table += mp == 1 ? "_zero3" : "_ptdp";
    addStep(out, p, predictor, step, [=](const PlanReport& report) {
      return flops / report.stepTime.value / double(gpus) / 1e12;
    });
  }
}

// NVIDIA/Megatron-LM, README of January 2021: fp16 mixed precision, sequence 1024, vocabulary
// 51200, full recomputation, no pipeline; the DGX A100 of that time has 40 GB devices. `batch` is
// one model's; with data parallelism it is the global one, accumulated over equal micro-batches.
bool isMegatron2020(const Table& t) {
  return t.has({"system"}) && t.has({"model_parallel"}) && t.has({"iter_ms"});
}

void predictMegatron2020(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const bool volta = r.text({"system"}).find("V100") != std::string::npos;
    const int64_t gpus = r.integer({"gpus"}), tp = r.integer({"model_parallel"}),
                  batch = r.integer({"batch"}), dp = gpus / tp;
    Step step;
    step.model = megatronGpt(r.integer({"layers"}), r.integer({"hidden"}), r.integer({"heads"}),
                             1024, 51200, tp);
    step.training = mixed(Precision::fp16, DType::f16);
    step.cluster = volta ? clusterText(gpus, "V100-SXM3-32GB", "8xinfiniband-edr", 16)
                         : clusterText(gpus, "A100-SXM-40GB", "8xinfiniband-hdr");
    step.globalBatch = batch;
    step.strategy = fmt::format("dp={},tp={},mbs={},recompute=full,{}", dp, tp,
                                fittingMicroBatch(batch, dp, volta ? 8 : 16), kNoOverlap);
    addStep(out, rowOf(t, r, "ms", r.number({"iter_ms"})), predictor, step,
            [](const PlanReport& report) { return report.stepTime.value * 1e3; });
  }
}

}  // namespace meshplan
