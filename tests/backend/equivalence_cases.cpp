// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/equivalence_cases.h"

#include <fmt/core.h>

#include "tests/graph_text.h"

namespace meshplan {
namespace {

constexpr EquivalenceSubject kSubjects[] = {
    {"perceptron", R"(
      x = input [8,12]
      labels = ints [8]
      repeat 4
        h# = Linear(x, *12x16, *16) @layers.#
        r# = Relu(h#) @layers.#
        x = Linear(r#, *16x12, *12) @layers.#
      end
      logits = Linear(x, *12x8, *8)
      loss = CrossEntropy(logits, labels))",
     8, false},
    {"convolutions", R"(
      x = input [8,4,8,8]
      labels = ints [8]
      c1 = Conv(x, *8x4x3x3) {kernel_shape=3x3, pads=1x1x1x1}
      n1 = BatchNormalization(c1, *8, *8) {training=1}
      r1 = Relu(n1)
      p1 = MaxPool(r1) {kernel_shape=2x2, strides=2x2}
      c2 = Conv(p1, *16x8x3x3, *16) {kernel_shape=3x3, pads=1x1x1x1}
      r2 = Relu(c2)
      g = GlobalAveragePool(r2)
      f = Flatten(g)
      logits = Linear(f, *16x8, *8)
      loss = CrossEntropy(logits, labels))",
     8, true},
    {"transformer", R"(
      ids = ints [8,8]
      labels = ints [8,8]
      x = Embedding(ids, *table:32x16) @embedding
      repeat 4
        n# = LayerNormalization(x, *16, *16) @layers.#
        qkv# = Linear(n#, *16x48, *48) {out_block=12} @layers.#
        q#, k#, v# = SplitHeads(qkv#) {head_dim=4, group=1} @layers.#
        a#, lse# = Attention(q#, k#, v#) {causal=1} @layers.#
        m# = MergeHeads(a#) @layers.#
        o# = Linear(m#, *16x16, *16) {in_block=4} @layers.#
        r# = Add(x, o#) @layers.#
        f# = LayerNormalization(r#, *16, *16) @layers.#
        u# = Linear(f#, *16x64, *64) @layers.#
        g# = Gelu(u#) @layers.#
        d# = Linear(g#, *64x16, *16) @layers.#
        x = Add(r#, d#) @layers.#
      end
      y = LayerNormalization(x, *16, *16) @norm
      logits = Linear(y, *table) {transposed=1} @head
      loss = CrossEntropy(logits, labels) @loss)",
     8, false},
    {"experts", R"(
      x = input [8,8,16]
      t = input [8,8,16]
      repeat 2
        z# = Linear(x, *16x16) @layers.#
        s# = Linear(z#, *16x4) @layers.#
        w#, i# = TopKRouter(s#) {k=2} @layers.#
        e# = Dispatch(z#, i#) {experts=4} @layers.#
        u# = ExpertLinear(e#, *4x16x32) @layers.#
        g# = Gelu(u#) @layers.#
        d# = ExpertLinear(g#, *4x32x16) @layers.#
        c# = Combine(d#, w#, i#) @layers.#
        x = Add(z#, c#) @layers.#
      end
      loss = MeanSquaredError(x, t))",
     8, false},
    {"recurrence", R"(
      x = input [8,6,8]
      labels = ints [8,6]
      p = Transpose(x) {perm=1x0x2}
      y, h, c = LSTM(p, *1x48x8, *1x48x12, *1x96) {has_bias=1}
      s = Squeeze(y) {axes=1x}
      b = Transpose(s) {perm=1x0x2}
      logits = Linear(b, *12x8, *8)
      loss = CrossEntropy(logits, labels))",
     8, false},
};

}  // namespace

std::span<const EquivalenceSubject> equivalenceSubjects() {
  return kSubjects;
}

TrainingModel prepared(const EquivalenceSubject& subject, Precision precision) {
  TrainingOptions options;
  options.precision = precision;
  options.optimizer = OptimizerKind::sgd;
  return prepareTraining(modelFromText(subject.text, subject.referenceBatch), options);
}

std::vector<std::pair<int64_t, std::string>> strategiesOf(const EquivalenceSubject& subject) {
  std::vector<std::pair<int64_t, std::string>> strategies;
  const bool experts = std::string(subject.name) == "experts";
  int turn = 0;
  for (int64_t tp : {1, 2, 4})
    for (int64_t pp : {1, 2, 4})
      for (int64_t dp : {1, 2, 4})
        for (int64_t ep : {1, 2, 4}) {
          if (tp * pp * dp > 8 || dp % ep != 0 || (ep > 1 && !experts)) continue;
          for (int zero = 0; zero <= (dp > 1 ? 3 : 0); ++zero)
            for (const char* schedule : {"gpipe", "1f1b", "interleaved"}) {
              if (pp == 1 && std::string(schedule) != "1f1b") continue;
              const bool interleaved = std::string(schedule) == "interleaved";
              const int64_t mbs = std::max<int64_t>(1, kEquivalenceBatch / dp / (pp > 1 ? 4 : 2));
              static constexpr const char* kRecompute[] = {"none", "full", "selective"};
              const int choice = turn++;
              std::string text = fmt::format("dp={},tp={},pp={},ep={},mbs={},zero={},recompute={}",
                                             dp, tp, pp, ep, mbs, zero, kRecompute[choice % 3]);
              if (pp > 1) text += fmt::format(",schedule={}", schedule);
              if (interleaved) text += ",vpp=2";
              if (tp > 1 && choice % 2 == 0) text += ",sp=on";
              if (zero == 3 && choice % 2 == 1) text += ",gather=parameter";
              if (pp > 1 && choice % 4 == 1) text += ",transfers=blocking";
              strategies.emplace_back(dp * tp * pp, text);
            }
        }
  return strategies;
}

Plan alone(const TrainingModel& model, const EquivalenceSubject& subject, const Plan& plan) {
  const int64_t group = subject.sameGroups ? plan.microBatch * plan.mesh.expert : kEquivalenceBatch;
  return planOf(model, kEquivalenceBatch, fmt::format("dp=1,mbs={}", group), 1);
}

}  // namespace meshplan
