// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "profiles/device_name.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

constexpr double kUncertainty = 0.12;

struct Shape {
  const char* name;
  int64_t layers, hidden, heads, vocabulary;
};

/// scripts/asplos/data/DLmodel_configs of the source.
constexpr Shape kShapes[] = {
    {"gpt2_med", 24, 1024, 16, 50257}, {"gpt2_large", 36, 1280, 20, 50257},
    {"gpt2_xl", 48, 1600, 25, 50257},  {"gpt3_xl", 24, 3072, 24, 50257},
    {"gpt3_27", 32, 2560, 32, 50257},  {"gpt3_67", 32, 4096, 32, 50257},
    {"gpt3_13", 40, 5120, 40, 50257},  {"opt_13", 24, 2048, 32, 50272},
};

ModelRequest modelOf(const std::string& name, int64_t sequence, bool training) {
  ModelRequest model;
  model.sequence = sequence;
  model.attention = "math";
  const std::string dropout = training ? "0.1" : "0";
  if (name.starts_with("bert")) {
    model.source = name == "bert" ? "bert-base" : "bert-large";
    model.settings = {{"dropout", dropout}};
    return model;
  }
  for (const Shape& s : kShapes) {
    if (s.name != name) continue;
    model.source = "gpt";
    model.settings = {{"layers", std::to_string(s.layers)}, {"hidden", std::to_string(s.hidden)},
                      {"heads", std::to_string(s.heads)},   {"vocab", std::to_string(s.vocabulary)},
                      {"seq", std::to_string(sequence)},    {"dropout", dropout}};
    return model;
  }
  throw Error(ErrorKind::input, fmt::format("no model of ours is '{}'", name));
}

/// Degrees of the four-device variants: dp4, tp4, and pp4_M with M micro-batches.
std::string strategyOf(const std::string& variant, int64_t batch) {
  if (variant.empty()) return fmt::format("dp=1,mbs={}", batch);
  if (variant == "dp4") return fmt::format("dp=4,mbs={}", std::max<int64_t>(1, batch / 4));
  if (variant == "tp4") return fmt::format("dp=1,tp=4,mbs={}", batch);
  if (variant.starts_with("pp4_")) {
    const int64_t micro = std::max(1, std::atoi(variant.c_str() + 4));
    return fmt::format("dp=1,pp=4,mbs={}", std::max<int64_t>(1, batch / micro));
  }
  throw Error(ErrorKind::input, variant == "fusion"
                                    ? "kernels are not fused as torch.compile does"
                                    : fmt::format("no variant of ours is '{}'", variant));
}

Step stepOf(const TableRow& r) {
  const int64_t batch = r.integer({"batch"});
  const std::string variant = r.textOr({"variant"}, "");
  Step step;
  step.model = modelOf(r.text({"model"}), r.integer({"seqlen"}), r.text({"mode"}) == "train");
  step.training.precision = Precision::fp32;
  step.training.optimizer = OptimizerKind::adamw;
  step.cluster = fmt::format("{}x{}", variant.empty() || variant == "fusion" ? 1 : 4,
                             catalogueDevice(r.text({"device"})));
  step.globalBatch = batch;
  step.strategy = strategyOf(variant, batch);
  return step;
}

struct Phases {
  double forward = 0, loss = 0, whole = 0;  // ends [s]: without and with the loss; of backward
};

/// In the model but not in what was timed: the loss; in inference BERT's vocabulary.
bool isUntimed(const Graph& graph, const Instruction& i, bool inference) {
  if (i.kind != Instruction::Kind::compute) return false;
  const Operator& op = graph.op(i.op);
  return op.def->opClass == OpClass::loss || (inference && op.module.starts_with("cls"));
}

Phases phasesOf(const Simulated& s, const Graph& graph, bool inference) {
  Phases p;
  double untimed = 0;
  for (const Span& span : s.timeline.spans) {
    const Routine& routine =
        s.program.routines[s.program.rankClasses[span.rankClass].calls[span.call].routine];
    if (routine.kind == Routine::Kind::update) continue;
    p.whole = std::max(p.whole, span.end.value);
    if (routine.kind != Routine::Kind::forward) continue;
    p.loss = std::max(p.loss, span.end.value);
    if (isUntimed(graph, routine.instructions[span.instruction], inference))
      untimed += span.end.value - span.start.value;
  }
  p.forward = p.loss - untimed;
  return p;
}

}  // namespace

// NeuSight (arXiv:2407.13853, scripts/asplos: neusight/Tracing/trace.py, measure_e2e, and
// collect_label_distributed.py): Hugging Face models, eager attention, fp32 without TF32 (so on
// the vector units), CUDA events. Inference is the forward pass without gradients; BERT has a
// classifier instead of its vocabulary there. Training is the forward pass, then the backward pass
// of the cross-entropy, whose own forward and the optimizer are not timed. Four devices (dp4, tp4,
// pp4_M) run Megatron-LM through Accelerate, from the start of forward to the end of backward;
// the batch is the global one. OPT's ReLU counts as GPT's GELU. "fusion" is torch.compile, and
// Switch transformers have no graph of ours: not predicted. The source frees PyTorch's cache before
// each pass, so every allocation calls the driver; that is not in the model.
bool isNeusightSteps(const Table& t) {
  return t.has({"e2e_ms"}) && t.has({"model"}) && t.has({"device"}) && t.has({"mode"});
}

void predictNeusightSteps(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    Phases p;
    std::string problem, device = r.text({"device"});
    const bool inference = r.text({"mode"}) == "inf";
    const bool distributed = r.textOr({"variant"}, "").find('4') != std::string::npos;
    try {
      const Step step = stepOf(r);
      device = predictor.cluster(step.cluster).specs().front().name;
      p = phasesOf(predictor.look(step), predictor.training(step).graph, inference);
    } catch (const Error& e) {
      problem = e.what();
    }
    const auto add = [&](const char* column, const char* suffix, double seconds) {
      if (r.maybe({column}).value_or(0) <= 0) return;
      Prediction row = rowOf(t, r, "ms", r.number({column}));
      row.table += suffix;
      row.device = device;
      row.predicted = seconds * 1e3;
      row.uncertainty = kUncertainty;
      row.problem = problem;
      out.push_back(std::move(row));
    };
    const double backward = p.whole - p.loss;
    add("e2e_ms",
        inference     ? "_inference"
        : distributed ? "_four_devices"
                      : "_training",
        inference     ? p.forward
        : distributed ? p.whole
                      : p.forward + backward);
    if (inference) continue;
    add("fw_ms", "_forward", p.forward);
    add("bw_ms", "_backward", backward);
  }
}

}  // namespace meshplan
