// SPDX-License-Identifier: Apache-2.0
// Galvatron (PKU-DAIR/Hetu-Galvatron, profiler and runtime): slices of Llama-2-7B in bf16 with
// flash attention, on 8 GPUs of a node, or one. The device is not named; its rate is an A100's.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

constexpr const char* kDevice = "A100-SXM-80GB";
constexpr double kForwardUncertainty = 0.1, kMemoryUncertainty = 0.05;

Step llamaSlice(int64_t layers, int64_t sequence, int64_t batch, int64_t gpus,
                const std::string& strategy) {
  Step step;
  step.model.source = "llama2-7b";
  // fused_vocab_parallel_cross_entropy on bf16 logits (entropy_in_fp32 is off).
  step.model.settings = {{"layers", std::to_string(layers)}, {"half_loss", "true"}};
  step.model.sequence = sequence;
  step.training.precision = Precision::bf16;
  step.training.optimizer = OptimizerKind::adam;
  // FSDP keeps fp32 parameters, fp32 gradients and two moments: 16 bytes per parameter, as bf16
  // weights and gradients with fp32 master weights and moments.
  step.training.gradientDType = DType::bf16;
  step.cluster = fmt::format("{}x{}", gpus, kDevice);
  step.globalBatch = batch;
  step.strategy = strategy;
  return step;
}

double forwardEnd(const Simulated& simulated) {
  double end = 0;
  for (const Span& span : simulated.timeline.spans)
    if (span.call == 0) end = std::max(end, span.end.value);
  return end;
}

}  // namespace

// computation_profiling_*: forward of embedding, so many layers and the head with its loss, batch
// `bsz` on one GPU (model_profiler.py: profile_forward, use_flash_attn); in ms.
bool isGalvatronForward(const Table& t) {
  return t.has({"layernum"}) && t.has({"bsz"}) && t.has({"forward_ms"});
}

void predictGalvatronForward(const Table& t, StepPredictor& predictor,
                             std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const int64_t batch = r.integer({"bsz"});
    const Step step = llamaSlice(r.integer({"layernum"}), r.integer({"seq"}), batch, 1,
                                 fmt::format("dp=1,mbs={}", batch));
    Prediction p = rowOf(t, r, "ms", r.number({"forward_ms"}));
    try {
      p.predicted = forwardEnd(predictor.look(step)) * 1e3;
      p.uncertainty = kForwardUncertainty;
      p.device = kDevice;
    } catch (const Error& e) {
      p.problem = fmt::format("{}: {}", commandOf(step), e.what());
    }
    out.push_back(std::move(p));
  }
}

// memory_profiling_*: PyTorch's allocated bytes on the first and the last of 8 ranks in the fifth
// iteration (runtime_profiler.py), FSDP FULL_SHARD over the data-parallel ranks (model_profiler.py:
// profile_dp_type zero3), sequence parallelism, one micro-batch (GPipe). strategy = pp_tp_dp, "c":
// every layer is recomputed, "vtp": embedding and head split by tensor parallelism (always so
// here; without it the source splits them by FSDP alone).
//   ms        after the backward pass: parameters, gradients, moments; and the buffer of the
//             gathered sequence that Megatron's layers keep for good (get_global_memory_buffer)
//   act       after the forward pass, less before it
//   act_peak  the peak of the iteration, less ms
// The keys say sequence 2048. What was measured is 4096, the model's own: a checkpointed layer
// keeps 32 MiB per sample (its bf16 input at 4096), a layer's log-sum-exp 0.5 MiB, the gathered
// sequence 32 MiB, the logits 250 MiB. So 4096 is taken.
// Driver context and NCCL's buffers are outside PyTorch's figures and not counted here either.
bool isGalvatronMemory(const Table& t) {
  return t.has({"strategy"}) && t.has({"metric"}) && t.has({"mb"});
}

namespace {

constexpr int64_t kMeasuredSequence = 4096, kHidden = 4096;

struct RankMemory {
  double states = 0, saved = 0, peak = 0;  // bytes, as the metrics above
};

bool isState(const Buffer& b) {
  return b.category == MemoryCategory::weights || b.category == MemoryCategory::gradients ||
         b.category == MemoryCategory::optimizer || b.category == MemoryCategory::masterWeights;
}

double residentBytes(const RankClass& ranks, bool statesOnly) {
  double bytes = 0;
  for (const Buffer& b : ranks.residents)
    if (!statesOnly || isState(b)) bytes += static_cast<double>(b.bytes.value);
  return bytes;
}

/// What the forward calls of a rank leave behind for the backward calls.
double savedBytes(const Simulated& s, const RankClass& ranks) {
  double bytes = 0;
  for (const Call& call : ranks.calls) {
    const Routine& routine = s.program.routines[call.routine];
    if (routine.kind != Routine::Kind::forward) continue;
    for (const Instruction& i : routine.instructions) {
      for (BufferIndex b : i.allocates)
        bytes += static_cast<double>(routine.buffers[b].bytes.value);
      for (BufferIndex b : i.frees) bytes -= static_cast<double>(routine.buffers[b].bytes.value);
    }
  }
  return bytes;
}

RankMemory memoryOf(const Simulated& s, size_t rankClass) {
  const RankClass& ranks = s.program.rankClasses[rankClass];
  const double resident = residentBytes(ranks, false);
  return {residentBytes(ranks, true), savedBytes(s, ranks),
          static_cast<double>(s.timeline.rankClasses[rankClass].peak.value) - resident};
}

Step memoryStep(const TableRow& r) {
  const std::string& strategy = r.text({"strategy"});
  long pp = 1, tp = 1, dp = 1;
  if (std::sscanf(strategy.c_str(), "%ld_%ld_%ld", &pp, &tp, &dp) != 3)
    throw Error(ErrorKind::input, fmt::format("'{}' is no pp_tp_dp", strategy));
  const int64_t batch = r.integer({"bsz"});
  std::string text = fmt::format("dp={},tp={},pp={},mbs={},zero=3", dp, tp, pp, batch / dp);
  if (pp > 1) text += ",schedule=gpipe";
  if (tp > 1) text += ",sp=on";
  if (strategy.find("_c") != std::string::npos) text += ",recompute=full";
  return llamaSlice(r.integer({"layernum"}), kMeasuredSequence, batch, pp * tp * dp, text);
}

}  // namespace

void predictGalvatronMemory(const Table& t, StepPredictor& predictor,
                            std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const std::string metric = r.text({"metric"});
    Prediction p = rowOf(t, r, "MiB", r.number({"mb"}));
    p.table += "_" + metric;
    p.device = kDevice;
    try {
      const Step step = memoryStep(r);
      const Simulated s = predictor.look(step);
      const RankMemory m =
          memoryOf(s, r.integer({"rank"}) == 0 ? 0 : s.program.rankClasses.size() - 1);
      const MeshShape& mesh = s.program.mesh;
      const double gathered = mesh.tensor == 1 ? 0
                                               : double(step.globalBatch / mesh.replicas()) *
                                                     kMeasuredSequence * kHidden * 2;
      p.predicted = (metric == "ms"    ? m.states + gathered
                     : metric == "act" ? m.saved
                                       : m.peak) /
                    static_cast<double>(kMiB);
      p.uncertainty = kMemoryUncertainty;
    } catch (const Error& e) {
      p.problem = e.what();
    }
    out.push_back(std::move(p));
  }
}

}  // namespace meshplan
