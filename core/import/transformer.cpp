// SPDX-License-Identifier: Apache-2.0
#include "core/import/transformer.h"

namespace meshplan {
namespace {

bool isGated(Activation a) {
  return a == Activation::geglu || a == Activation::tanhGeglu || a == Activation::swiglu;
}

std::string_view activationOperator(Activation a) {
  switch (a) {
    case Activation::gelu:
    case Activation::tanhGelu:
      return "Gelu";
    case Activation::relu:
      return "Relu";
    case Activation::silu:
      return "Silu";
    case Activation::tanh:
      return "Tanh";
    case Activation::geglu:
    case Activation::tanhGeglu:
      return "GeGLU";
    case Activation::swiglu:
      return "SwiGLU";
  }
  return "Gelu";
}

Attributes activationAttributes(Activation a) {
  const bool tanhForm = a == Activation::tanhGelu || a == Activation::tanhGeglu;
  return tanhForm ? Attributes{{"approximate", std::string("tanh")}} : Attributes{};
}

struct QueryKeyValue {
  TensorId q, k, v;
};

/// One layer being written: what all its parts need.
class LayerBuilder {
 public:
  LayerBuilder(LayerWriter& writer, const TransformerStack& stack, int64_t index)
      : writer_(writer),
        stack_(stack),
        names_(stack.names),
        prefix_(joinNames(names_.layers, std::to_string(index))),
        index_(static_cast<size_t>(index)) {}

  TensorId build(TensorId x, TensorId bias, TensorId memory) {
    hidden_ = writer_.extent(x, -1);
    const auto attention = [&](TensorId in) { return selfAttention(in, bias); };
    x = residual(x, names_.attentionNorm, names_.attention, attention);
    if (memory.valid())
      x = residual(x, names_.crossNorm, names_.cross,
                   [&](TensorId in) { return crossAttention(in, memory); });
    return residual(x, names_.feedForwardNorm, names_.feedForward, [&](TensorId in) {
      return hasExperts() ? mixtureOfExperts(in) : feedForward(in, stack_.feedForward, "");
    });
  }

 private:
  bool hasExperts() const {
    return index_ < stack_.expertLayers.size() && stack_.expertLayers[index_];
  }

  TensorId norm(TensorId x, const std::string& name) {
    return appendNorm(writer_, stack_.rmsNorm, x, prefix_, name);
  }

  template <class Branch>
  TensorId residual(TensorId x, const std::string& normName, const std::string& branchName,
                    Branch branch) {
    TensorId y = branch(stack_.postNorm ? x : norm(x, normName));
    const std::string module = joinNames(prefix_, branchName);
    y = writer_.dropout(y, stack_.residualDropout, module, "dropout");
    y = writer_.add("Add", {x, y}, {}, module, "residual");
    return stack_.postNorm ? norm(y, normName) : y;
  }

  TensorId rotate(TensorId x, const std::string& module, const std::string& name, int64_t dim) {
    if (!stack_.attention.rotary) return x;
    return writer_.add("Rotary", {x}, {{"rotary_dim", dim}}, module, name);
  }

  TensorId toHeads(TensorId x, int64_t headDim, const std::string& module,
                   const std::string& name) {
    return writer_.add("ToHeads", {x}, {{"head_dim", headDim}}, module, name);
  }

  QueryKeyValue grouped(TensorId x, const std::string& module) {
    const AttentionConfig& a = stack_.attention;
    const int64_t group = a.heads / a.keyValueHeads;
    const int64_t block = checkedMul(group + 2, a.headDim);
    const TensorId qkv = writer_.linear(x, checkedMul(block, a.keyValueHeads), {a.inputBias, block},
                                        module, names_.query);
    const OpId split = writer_.graph().addOperator("SplitHeads", {qkv},
                                                   {{"group", group}, {"head_dim", a.headDim}},
                                                   joinNames(module, "split"), module);
    QueryKeyValue r{writer_.graph().output(split, 0), writer_.graph().output(split, 1),
                    writer_.graph().output(split, 2)};
    if (a.queryKeyNorm) {
      r.q = writer_.rmsNorm(r.q, module, "q_norm");
      r.k = writer_.rmsNorm(r.k, module, "k_norm");
    }
    r.q = rotate(r.q, module, "q_rotary", a.headDim);
    r.k = rotate(r.k, module, "k_rotary", a.headDim);
    return r;
  }

  TensorId latentQuery(TensorId x, const std::string& module) {
    const LatentAttention& l = *stack_.attention.latent;
    const int64_t dim = l.nopeDim + l.ropeDim;
    const bool lowRank = l.queryRank > 0;
    if (lowRank) {
      x = writer_.linear(x, l.queryRank, {stack_.attention.inputBias}, module, "q_a_proj");
      x = writer_.rmsNorm(x, module, "q_a_layernorm");
    }
    x = writer_.linear(x, checkedMul(stack_.attention.heads, dim), {false, dim}, module,
                       lowRank ? "q_b_proj" : "q_proj");
    return rotate(toHeads(x, dim, module, "q_heads"), module, "q_rotary", l.ropeDim);
  }

  /// The checkpoint's kv_a_proj_with_mqa is one matrix for the compressed keys and values and the
  /// rotated part of the keys; here it is two side by side, of the same size together.
  QueryKeyValue latent(TensorId x, const std::string& module) {
    const LatentAttention& l = *stack_.attention.latent;
    const int64_t dim = l.nopeDim + l.valueDim;
    const bool bias = stack_.attention.inputBias;
    const TensorId q = latentQuery(x, module);
    TensorId kv = writer_.linear(x, l.keyValueRank, {bias}, module, "kv_a_proj_with_mqa");
    kv = writer_.rmsNorm(kv, module, "kv_a_layernorm");
    kv = writer_.linear(kv, checkedMul(stack_.attention.heads, dim), {false, dim}, module,
                        "kv_b_proj");
    kv = toHeads(kv, dim, module, "kv_heads");
    TensorId rope = writer_.linear(x, l.ropeDim, {bias}, module, "kv_a_proj_with_mqa.rope");
    rope = rotate(toHeads(rope, l.ropeDim, module, "k_rope"), module, "k_rotary", l.ropeDim);
    const OpId join =
        writer_.graph().addOperator("LatentKeyValue", {kv, rope}, {{"value_dim", l.valueDim}},
                                    joinNames(module, "key_value"), module);
    return {q, writer_.graph().output(join, 0), writer_.graph().output(join, 1)};
  }

  TensorId attend(QueryKeyValue in, TensorId bias, bool causal, const std::string& module) {
    const AttentionConfig& a = stack_.attention;
    Attributes attributes{{"implementation", a.implementation}};
    if (causal) attributes.set("causal", int64_t{1});
    if (a.dropout > 0) attributes.set("dropout", a.dropout);
    std::vector<TensorId> inputs{in.q, in.k, in.v};
    if (bias.valid()) inputs.push_back(bias);
    const TensorId o = writer_.add("Attention", inputs, attributes, module, "attention");
    const TensorId merged = writer_.add("MergeHeads", {o}, {}, module, "merge");
    return writer_.linear(merged, hidden_, {a.outputBias, 1, writer_.extent(o, -1)}, module,
                          names_.output);
  }

  TensorId selfAttention(TensorId x, TensorId bias) {
    const std::string module = joinNames(prefix_, names_.attention);
    const QueryKeyValue qkv = stack_.attention.latent ? latent(x, module) : grouped(x, module);
    return attend(qkv, bias, stack_.attention.causal, module);
  }

  TensorId crossAttention(TensorId x, TensorId memory) {
    const AttentionConfig& a = stack_.attention;
    const std::string module = joinNames(prefix_, names_.cross);
    const auto project = [&](TensorId in, const std::string& name) {
      const TensorId y = writer_.linear(in, checkedMul(a.heads, a.headDim),
                                        {a.inputBias, a.headDim}, module, name);
      return toHeads(y, a.headDim, module, name + "_heads");
    };
    const TensorId q = project(x, "q"), k = project(memory, "k"), v = project(memory, "v");
    return attend({q, k, v}, {}, false, module);
  }

  TensorId activate(TensorId x, Activation a, const std::string& module) {
    return writer_.add(activationOperator(a), {x}, activationAttributes(a), module, "activation");
  }

  TensorId feedForward(TensorId x, const FeedForwardConfig& f, const std::string& part) {
    const std::string module = joinNames(prefix_, names_.feedForward, part);
    const int64_t factor = isGated(f.activation) ? 2 : 1;
    x = writer_.linear(x, checkedMul(factor, f.width), {f.bias, factor}, module, names_.up);
    x = activate(x, f.activation, module);
    x = writer_.dropout(x, f.dropout, module, "activation_dropout");
    return writer_.linear(x, hidden_, {f.bias}, module, names_.down);
  }

  TensorId expertLinear(TensorId x, int64_t outFeatures, int64_t outBlock,
                        const std::string& module, const std::string& name) {
    const TensorId w =
        writer_.parameter(joinNames(module, name) + ".weight",
                          {writer_.extent(x, 0), writer_.extent(x, -1), outFeatures});
    Attributes attributes;
    if (outBlock > 1) attributes.set("out_block", outBlock);
    std::vector<TensorId> inputs{x, w};
    if (stack_.experts.bias) {
      inputs.push_back(writer_.parameter(joinNames(module, name) + ".bias",
                                         {writer_.extent(x, 0), outFeatures}));
      if (name == names_.down) attributes.set("separate_bias", int64_t{1});
    }
    return writer_.add("ExpertLinear", inputs, attributes, module, name);
  }

  TensorId experts(TensorId x, const std::string& module) {
    const bool gated = isGated(stack_.feedForward.activation);
    x = expertLinear(x, checkedMul(gated ? 2 : 1, stack_.experts.width), gated ? 2 : 1, module,
                     names_.up);
    x = activate(x, stack_.feedForward.activation, module);
    return expertLinear(x, hidden_, 1, module, names_.down);
  }

  TensorId mixtureOfExperts(TensorId x) {
    const ExpertConfig& e = stack_.experts;
    const std::string module = joinNames(prefix_, names_.feedForward);
    std::vector<TensorId> scores{writer_.linear(x, e.count, {}, module, "gate")};
    if (e.correction)
      scores.push_back(writer_.parameter(module + ".gate.e_score_correction_bias", {e.count}));
    Graph& graph = writer_.graph();
    const OpId route = graph.addOperator("TopKRouter", scores, {{"k", e.chosen}},
                                         joinNames(module, "router"), module);
    const TensorId weights = graph.output(route, 0), indices = graph.output(route, 1);
    TensorId y = writer_.add("Dispatch", {x, indices}, {{"experts", e.count}}, module, "dispatch");
    y = experts(y, joinNames(module, "experts"));
    y = writer_.add("Combine", {y, weights, indices}, {}, module, "combine");
    if (e.sharedWidth == 0) return y;
    FeedForwardConfig shared = stack_.feedForward;
    shared.width = e.sharedWidth;
    return writer_.add("Add", {y, feedForward(x, shared, "shared_experts")}, {}, module,
                       "add_shared");
  }

  LayerWriter& writer_;
  const TransformerStack& stack_;
  const LayerNames& names_;
  std::string prefix_;
  size_t index_;
  int64_t hidden_ = 0;
};

TensorId relativeBias(LayerWriter& writer, const TransformerStack& stack, int64_t sequence) {
  const AttentionConfig& a = stack.attention;
  if (a.relativeBuckets == 0) return {};
  const std::string module = joinNames(stack.names.layers, "0", stack.names.attention);
  const TensorId table = writer.parameter(joinNames(module, "relative_attention_bias.weight"),
                                          {a.relativeBuckets, a.heads});
  return writer.add("RelativeBias", {table}, {{"queries", sequence}, {"keys", sequence}}, module,
                    "relative_attention_bias");
}

}  // namespace

TensorId appendNorm(LayerWriter& writer, bool rms, TensorId x, const std::string& module,
                    const std::string& name) {
  return rms ? writer.rmsNorm(x, module, name) : writer.layerNorm(x, module, name);
}

TensorId appendLayer(LayerWriter& writer, const TransformerStack& stack, int64_t index, TensorId x,
                     TensorId bias, TensorId memory) {
  return LayerBuilder(writer, stack, index).build(x, bias, memory);
}

TensorId appendStack(LayerWriter& writer, const TransformerStack& stack, TensorId x,
                     TensorId memory) {
  const TensorId bias = relativeBias(writer, stack, writer.extent(x, 1));
  for (int64_t i = 0; i < stack.layers; ++i) x = appendLayer(writer, stack, i, x, bias, memory);
  return x;
}

}  // namespace meshplan
