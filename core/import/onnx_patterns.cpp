// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_patterns.h"

#include <optional>

#include "core/import/onnx_attention.h"
#include "core/import/onnx_matcher.h"

namespace meshplan {
namespace {

using Found = std::optional<Replacement>;

Found single(std::string def, std::vector<StepInput> inputs, Attributes attributes = {}) {
  return Replacement{{{std::move(def), std::move(inputs), std::move(attributes)}}};
}

bool isOverLast(const Matcher& m, const Operator& mean) {
  const auto rank = static_cast<int64_t>(m.shape(mean.inputs[0]).size());
  const std::vector<int64_t> axes = mean.attributes.getInts("axes");
  return axes == std::vector<int64_t>{-1} || axes == std::vector<int64_t>{rank - 1};
}

const Operator* meanOf(const Matcher& m, TensorId t) {
  const Operator* mean = m.made(t, "ReduceMean");
  return mean && isOverLast(m, *mean) ? mean : nullptr;
}

/// The tensor that `t` is the square of, or an invalid id.
TensorId squared(const Matcher& m, TensorId t) {
  if (const Operator* pow = m.made(t, "Pow")) return pow->inputs[0];
  const Operator* mul = m.made(t, "Mul");
  return mul && m.same(mul->inputs[0], mul->inputs[1]) ? mul->inputs[0] : TensorId();
}

/// x when `t` is sqrt(mean(x²) + ε).
TensorId rootMeanSquare(const Matcher& m, TensorId t) {
  const Operator* root = m.made(t, "Sqrt");
  if (!root) return {};
  TensorId variance = root->inputs[0];
  if (const Operator* sum = m.made(variance, "Add"))
    variance = m.isConstant(sum->inputs[1]) ? sum->inputs[0] : sum->inputs[1];
  const Operator* mean = meanOf(m, variance);
  return mean ? squared(m, mean->inputs[0]) : TensorId();
}

/// x when `t` is x / sqrt(mean(x²) + ε), written as a quotient or with a reciprocal.
TensorId normalised(const Matcher& m, TensorId t) {
  if (const Operator* div = m.made(t, "Div")) {
    const TensorId x = rootMeanSquare(m, div->inputs[1]);
    return x.valid() && m.same(x, div->inputs[0]) ? x : TensorId();
  }
  const Operator* mul = m.made(t, "Mul");
  for (size_t i = 0; mul && i < 2; ++i) {
    const Operator* inverse = m.producer(mul->inputs[i]);
    if (!inverse || (inverse->def->name != "Reciprocal" && inverse->def->name != "Div")) continue;
    const TensorId x = rootMeanSquare(m, inverse->inputs.back());
    if (x.valid() && m.same(x, mul->inputs[1 - i])) return x;
  }
  return {};
}

/// x when `t` is x - mean(x).
TensorId centred(const Matcher& m, TensorId t) {
  const Operator* sub = m.made(t, "Sub");
  const Operator* mean = sub ? meanOf(m, sub->inputs[1]) : nullptr;
  return mean && m.same(mean->inputs[0], sub->inputs[0]) ? sub->inputs[0] : TensorId();
}

bool isScale(const Matcher& m, TensorId t) {
  return m.isConstant(t) && m.shape(t).size() <= 1;
}

/// Normalised tensor times γ: layer normalisation without β, or RMS normalisation.
Found matchNorm(const Matcher& m, const Operator& op) {
  if (op.def->name != "Mul") return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    if (!isScale(m, op.inputs[1 - i])) continue;
    const TensorId x = normalised(m, op.inputs[i]);
    if (!x.valid()) continue;
    const TensorId source = centred(m, x);
    return single(source.valid() ? "LayerNormalization" : "RMSNormalization",
                  {source.valid() ? source : x, op.inputs[1 - i]}, {{"axis", int64_t{-1}}});
  }
  return std::nullopt;
}

/// Layer normalisation with β.
Found matchShiftedNorm(const Matcher& m, const Operator& op) {
  if (op.def->name != "Add") return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const Operator* scaled = m.made(op.inputs[i], "Mul");
    if (!scaled || !isScale(m, op.inputs[1 - i])) continue;
    Found found = matchNorm(m, *scaled);
    if (!found || found->steps[0].def != "LayerNormalization") continue;
    found->steps[0].inputs.emplace_back(op.inputs[1 - i]);
    return found;
  }
  return std::nullopt;
}

/// The operands of a product, `of` first; nothing when `of` is no operand.
std::optional<TensorId> factorBeside(const Matcher& m, TensorId product, TensorId of) {
  const Operator* mul = m.made(product, "Mul");
  const TensorId factor = mul ? m.other(*mul, of) : TensorId();
  return factor.valid() ? std::optional(factor) : std::nullopt;
}

/// Layer normalisation as TensorFlow writes it: x·s + (β - mean(x)·s), s = γ / sqrt(variance + ε).
Found matchFoldedNorm(const Matcher& m, const Operator& op) {
  if (op.def->name != "Add") return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const Operator *scaled = m.made(op.inputs[i], "Mul"), *sub = m.made(op.inputs[1 - i], "Sub");
    if (!scaled || !sub || !isScale(m, sub->inputs[0])) continue;
    for (size_t k = 0; k < 2; ++k) {
      const TensorId x = scaled->inputs[k], factor = scaled->inputs[1 - k];
      const auto mean = factorBeside(m, sub->inputs[1], factor);
      const Operator* reduce = mean ? meanOf(m, *mean) : nullptr;
      const Operator* inverse = m.made(factor, "Mul");
      if (!reduce || !m.same(reduce->inputs[0], x) || !inverse) continue;
      for (TensorId gamma : inverse->inputs)
        if (isScale(m, gamma))
          return single("LayerNormalization", {x, gamma, sub->inputs[0]}, {{"axis", int64_t{-1}}});
    }
  }
  return std::nullopt;
}

/// x·σ(x), x·σ(cx), x·hardσ(x), x·tanh(softplus(x)).
Found matchGate(const Matcher& m, const Operator& op) {
  if (op.def->name != "Mul") return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const TensorId x = op.inputs[i];
    const Operator* gate = m.producer(op.inputs[1 - i]);
    if (!gate || gate->inputs.empty()) continue;
    const std::string_view name = gate->def->name;
    const Operator* before = m.producer(gate->inputs[0]);
    const bool direct = m.same(gate->inputs[0], x);
    const bool through = before && !before->inputs.empty() && m.same(before->inputs[0], x);
    if (name == "Sigmoid" && direct) return single("Silu", {x});
    if (name == "Sigmoid" && through && before->def->name == "Scale")
      return single("QuickGelu", {x});
    if (name == "HardSigmoid" && direct) return single("HardSwish", {x});
    if (name == "Tanh" && through && before->def->name == "Softplus") return single("Mish", {x});
  }
  return std::nullopt;
}

bool derivesFrom(const Matcher& m, TensorId t, TensorId x, int depth) {
  if (m.same(t, x)) return true;
  const Operator* op = m.producer(t);
  if (!op || depth == 0 || op->def->opClass != OpClass::elementwise) return false;
  for (TensorId input : op->inputs)
    if (derivesFrom(m, input, x, depth - 1)) return true;
  return false;
}

TensorId unscaled(const Matcher& m, TensorId t) {
  const Operator* scale = m.made(t, "Scale");
  return scale ? scale->inputs[0] : t;
}

/// Gelu from its error function or tanh on: +1, ·x and ·½ in any order. Fills in the operator that
/// ends it.
Found matchGelu(const Matcher& m, const Operator& op, OpId& end) {
  if (op.def->name != "Erf" && op.def->name != "Tanh") return std::nullopt;
  OpId id = m.onlyReader(op.outputs[0]);
  if (!id.valid() || m.graph().op(id).def->name != "Add") return std::nullopt;
  bool halved = false;
  TensorId t = m.graph().output(id), x;
  for (int step = 0; step < 3 && !(halved && x.valid()); ++step) {
    id = m.onlyReader(t);
    if (!id.valid()) break;
    const Operator& next = m.graph().op(id);
    if (next.def->name == "Scale") {
      halved = true;
    } else if (next.def->name == "Mul" && !x.valid()) {
      const TensorId factor = m.other(next, t);
      if (!factor.valid()) break;
      halved = halved || m.made(factor, "Scale");
      x = unscaled(m, factor);
    } else {
      break;
    }
    end = id;
    t = m.graph().output(id);
  }
  if (!halved || !x.valid() || !derivesFrom(m, op.inputs[0], x, 6)) return std::nullopt;
  return single("Gelu", {x});
}

/// A bias behind a linear layer that nothing else reads.
Found matchBias(const Matcher& m, const Operator& op) {
  if (op.def->name != "Add") return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const TensorId bias = op.inputs[1 - i];
    const OpId id = m.tensor(op.inputs[i]).producer;
    if (!id.valid() || !m.isParameter(bias) || m.shape(bias).size() != 1) continue;
    const Operator& linear = m.graph().op(id);
    if (linear.def->name != "Linear" || linear.inputs.size() != 2) continue;
    if (m.shape(bias)[0] != m.shape(op.inputs[i]).back()) continue;
    if (m.readers(op.inputs[i]) != 1) continue;
    return single("Linear", {linear.inputs[0], linear.inputs[1], bias}, linear.attributes);
  }
  return std::nullopt;
}

/// x when `t` is x with the halves of its last dimension swapped and the first negated.
TensorId turned(const Matcher& m, TensorId t) {
  const Operator* concat = m.made(t, "Concat");
  if (!concat || concat->inputs.size() != 2) return {};
  const Operator* negated = m.made(concat->inputs[0], "Neg");
  const Operator* back = negated ? m.producer(negated->inputs[0]) : nullptr;
  const Operator* front = m.producer(concat->inputs[1]);
  if (!back || !front) return {};
  const auto halves = [](const Operator& op) {
    return op.def->name == "Slice" || op.def->name == "Split";
  };
  const bool fits = halves(*back) && halves(*front) && m.same(back->inputs[0], front->inputs[0]);
  return fits ? back->inputs[0] : TensorId();
}

/// Rotary position embedding: x·cos + turned(x)·sin.
Found matchRotary(const Matcher& m, const Operator& op) {
  if (op.def->name != "Add" || m.shape(op.outputs[0]).size() != 4) return std::nullopt;
  const Operator *a = m.made(op.inputs[0], "Mul"), *b = m.made(op.inputs[1], "Mul");
  if (!a || !b) return std::nullopt;
  for (const auto& [plain, other] : {std::pair{a, b}, std::pair{b, a}})
    for (TensorId half : other->inputs) {
      const TensorId x = turned(m, half);
      if (!x.valid() || m.shape(x) != m.shape(op.outputs[0])) continue;
      if (m.same(plain->inputs[0], x) || m.same(plain->inputs[1], x)) return single("Rotary", {x});
    }
  return std::nullopt;
}

/// A linear layer over merged leading dimensions that are taken apart again behind it: it needs no
/// merging.
Found matchFlattened(const Matcher& m, const Operator& op) {
  if (op.def->name != "Reshape") return std::nullopt;
  const Operator* linear = m.producer(op.inputs[0]);
  if (!linear || linear->def->name != "Linear") return std::nullopt;
  const Operator* before = m.made(linear->inputs[0], "Reshape");
  Shape shape = m.shape(op.outputs[0]);
  const bool fits = before && m.readers(op.inputs[0]) == 1 && shape.size() > 2 &&
                    m.shape(op.inputs[0]).size() == 2 &&
                    shape.back() == m.shape(op.inputs[0]).back();
  if (!fits) return std::nullopt;
  shape.back() = m.shape(linear->inputs[0]).back();
  std::vector<StepInput> inputs(linear->inputs.begin(), linear->inputs.end());
  Replacement result;
  inputs[0] = before->inputs[0];
  if (m.shape(before->inputs[0]) != shape) {
    result.steps.push_back({"Reshape", {before->inputs[0]}, {{"shape", shape}}});
    inputs[0] = StepInput::ofStep(0);
  }
  result.steps.push_back({"Linear", inputs, linear->attributes});
  return result;
}

}  // namespace

Replacements findPatterns(const Graph& graph, const std::function<bool(TensorId)>& causal,
                          const ModelRequest& request, int64_t& attentions) {
  const Matcher m(graph);
  Replacements found;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const OpId id(i);
    if (!m.live(id)) continue;
    const Operator& op = graph.op(id);
    OpId end = id;
    Found match = matchAttention(m, id, causal, request.attention.value_or("flash"));
    attentions += match.has_value();
    if (!match) match = matchShiftedNorm(m, op);
    if (!match) match = matchFoldedNorm(m, op);
    if (!match) match = matchNorm(m, op);
    if (!match) match = matchGate(m, op);
    if (!match) match = matchBias(m, op);
    if (!match) match = matchRotary(m, op);
    if (!match) match = matchFlattened(m, op);
    if (!match) match = matchGelu(m, op, end);
    if (match) found.insert_or_assign(end, std::move(*match));
  }
  return found;
}

}  // namespace meshplan
