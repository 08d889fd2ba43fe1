// SPDX-License-Identifier: Apache-2.0
// Korthikanti et al. (arXiv:2205.05198): Selene, A100-SXM-80GB, 8 HDR adapters per node, fp16,
// 8-way tensor parallelism, sequence 2048, vocabulary 51200, Megatron's fused softmax on
// materialised scores, interleaved with 3 virtual stages for 175B and 530B; gradients in fp32 (the
// 18 bytes per parameter of its memory figures). 530B with data parallelism does not overlap the
// gradient reduction.
#include <fmt/format.h>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

struct Layers {
  int64_t layers, hidden, heads;
};

Step stepOf(const Layers& shape, int64_t gpus, int64_t pp, int64_t batch, int64_t mbs,
            const std::string& how) {
  Step step;
  step.model = megatronGpt(shape.layers, shape.hidden, shape.heads, 2048, 51200, 8);
  step.training.precision = Precision::fp16;
  step.training.optimizer = OptimizerKind::adam;
  step.training.runtime = RuntimeKind::megatron;
  step.cluster = gpus > 8 ? fmt::format("{}x8xA100-SXM-80GB:8xinfiniband-hdr", gpus / 8)
                          : fmt::format("{}xA100-SXM-80GB", gpus);
  step.globalBatch = batch;
  const int64_t dp = gpus / 8 / pp;
  const bool interleaved = pp > 1 && shape.layers % (3 * pp) == 0 && (batch / dp / mbs) % pp == 0;
  step.strategy =
      fmt::format("dp={},tp=8,pp={}{},mbs={},bucket=1000000,transfers=blocking,stages=even,{}", dp,
                  pp, interleaved ? ",vpp=3,schedule=interleaved" : "", mbs, how);
  return step;
}

constexpr double kLayerUncertainty = 0.1, kMemoryUncertainty = 0.05;
constexpr const char* kFull = "recompute=full";
constexpr const char* kSelective = "sp=on,recompute=selective";

double seconds(const PlanReport& report) {
  return report.stepTime.value;
}

}  // namespace

bool isKorthikantiIterations(const Table& t) {
  return t.has({"iter_s_full_recompute"}) && t.has({"iter_s_sp_selective"});
}

void predictKorthikantiIterations(const Table& t, StepPredictor& predictor,
                                  std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const Layers shape{r.integer({"layers"}), r.integer({"hidden"}), r.integer({"heads"})};
    for (auto [column, how] : {std::pair("iter_s_full_recompute", kFull),
                               std::pair("iter_s_sp_selective", kSelective)}) {
      if (!r.has({column})) continue;
      const Step step = stepOf(shape, r.integer({"gpus"}), r.integer({"pp"}), r.integer({"gbs"}),
                               r.integer({"mbs"}), how);
      addStep(out, rowOf(t, r, "s", r.number({column})), predictor, step, seconds);
    }
  }
}

// Table 4: a layer of the 22B model (hidden 6144, 64 heads), micro-batch 4: what 8 layers take more
// than 4, a fourth of it. Recomputation counts as backward.
bool isKorthikantiLayers(const Table& t) {
  return t.has({"experiment"}) && t.has({"forward_ms"}) && t.has({"backward_ms"});
}

namespace {

struct PhaseTimes {
  double forward = 0, backward = 0;
};

/// Of one micro-batch on one stage: when the forward call ends, and what the backward call adds.
PhaseTimes phasesOf(const Simulated& s) {
  double ends[2] = {};
  for (const Span& span : s.timeline.spans)
    if (span.call < 2) ends[span.call] = std::max(ends[span.call], span.end.value);
  return {ends[0], ends[1] - ends[0]};
}

std::string recomputation(const std::string& experiment) {
  const auto says = [&](const char* word) { return experiment.find(word) != std::string::npos; };
  std::string how = says("full")        ? kFull
                    : says("selective") ? "recompute=selective"
                                        : "recompute=none";
  return says("sequence") || says("both") ? how + ",sp=on" : how;
}

}  // namespace

void predictKorthikantiLayers(const Table& t, StepPredictor& predictor,
                              std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const std::string how = recomputation(r.text({"experiment"}));
    const auto phases = [&](int64_t layers) {
      return phasesOf(predictor.look(stepOf({layers, 6144, 64}, 8, 1, 4, 4, how)));
    };
    const PhaseTimes few = phases(4), many = phases(8);
    const double forward = (many.forward - few.forward) / 4 * 1e3,
                 backward = (many.backward - few.backward) / 4 * 1e3;
    for (auto [column, predicted] :
         {std::pair("forward_ms", forward), std::pair("backward_ms", backward),
          std::pair("combined_ms", forward + backward)}) {
      if (!r.has({column})) continue;
      Prediction p = rowOf(t, r, "ms", r.number({column}));
      p.device = "A100-SXM-80GB";
      p.predicted = predicted;
      p.uncertainty = kLayerUncertainty;
      out.push_back(p);
    }
  }
}

// Figure 1 and 7 as Calculon's authors read them, in GiB per GPU and per cent of plain tensor
// parallelism: 22B on 8 GPUs with micro-batch 4, 530B on 280 in an interleaved pipeline of 35
// stages.
bool isKorthikantiMemory(const Table& t) {
  return t.has({"params_opt_gib"}) && t.has({"act_gib_tp_only"});
}

namespace {

struct MemoryModel {
  Layers shape;
  int64_t gpus, pp, batch, mbs;
};

MemoryModel memoryModel(const std::string& name) {
  if (name == "22B") return {{48, 6144, 64}, 8, 1, 4, 4};
  if (name == "175B") return {{96, 12288, 96}, 64, 8, 64, 1};
  if (name == "530B") return {{105, 20480, 128}, 280, 35, 280, 1};
  if (name == "1T") return {{128, 25600, 160}, 512, 64, 512, 1};
  throw Error(ErrorKind::input, fmt::format("'{}' is no model of the source", name));
}

constexpr double kBytesPerGib = static_cast<double>(kGiB);

/// Parameters, gradients and optimizer state of the mean rank, as 18 bytes per parameter are.
double state(const Program& program) {
  double bytes = 0;
  for (const RankClass& stage : program.rankClasses)
    for (const Buffer& b : stage.residents)
      if (b.category <= MemoryCategory::masterWeights && b.category != MemoryCategory::activations)
        bytes += static_cast<double>(b.bytes.value);
  return bytes / static_cast<double>(program.rankClasses.size()) / kBytesPerGib;
}

/// What the first stage keeps from forward to backward passes, at most: the source's formulas count
/// no working memory.
double kept(const Program& program) {
  const RankClass& stage = program.rankClasses.front();
  double held = 0, most = 0;
  for (const Call& call : stage.calls) {
    const Routine& routine = program.routines[call.routine];
    if (routine.kind == Routine::Kind::update) continue;
    double bytes = 0;
    for (const Buffer& b : routine.buffers)
      if (b.scope == Buffer::Scope::microBatch) bytes += static_cast<double>(b.bytes.value);
    held += routine.kind == Routine::Kind::forward ? bytes : -bytes;
    most = std::max(most, held);
  }
  return most / kBytesPerGib;
}

}  // namespace

void predictKorthikantiMemory(const Table& t, StepPredictor& predictor,
                              std::vector<Prediction>& out) {
  struct Column {
    const char *name, *how;
    bool percent;
    double (*figure)(const Program&);
  };
  constexpr Column kColumns[] = {
      {"params_opt_gib", "recompute=none", false, state},
      {"act_gib_tp_only", "recompute=none", false, kept},
      {"act_gib_seqpar_selective", kSelective, false, kept},
      {"pct_seqpar", "sp=on", true, kept},
      {"pct_selective", "recompute=selective", true, kept},
      {"pct_seqpar_selective", kSelective, true, kept},
      {"pct_full_recompute", kFull, true, kept},
  };
  for (const TableRow& r : t.rows) {
    const MemoryModel m = memoryModel(r.text({"model"}));
    const double whole = r.number({"act_gib_tp_only"});
    for (const Column& c : kColumns) {
      if (!r.has({c.name})) continue;
      const double measured = r.number({c.name}) * (c.percent ? whole / 100 : 1);
      Prediction p = rowOf(t, r, "GiB", measured);
      p.device = "A100-SXM-80GB";
      p.predicted =
          c.figure(predictor.look(stepOf(m.shape, m.gpus, m.pp, m.batch, m.mbs, c.how)).program);
      p.uncertainty = kMemoryUncertainty;
      out.push_back(p);
    }
  }
}

}  // namespace meshplan
