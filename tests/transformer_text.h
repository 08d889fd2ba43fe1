// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace meshplan {

/// A small GPT with tied embeddings: batch 2, sequence 64, hidden 128, 8 heads, 4 layers,
/// vocabulary 512.
inline constexpr const char* kGpt = R"(
  ids = ints [2,1024]
  labels = ints [2,1024]
  x = Embedding(ids, *table:32000x2048) @embedding
  repeat 4
    n# = LayerNormalization(x, *2048, *2048) @layers.#.attention
    qkv# = Linear(n#, *2048x6144, *6144) {out_block=384} @layers.#.attention
    q#, k#, v# = SplitHeads(qkv#) {head_dim=128, group=1} @layers.#.attention
    a#, lse# = Attention(q#, k#, v#) {causal=1} @layers.#.attention
    m# = MergeHeads(a#) @layers.#.attention
    o# = Linear(m#, *2048x2048, *2048) {in_block=128} @layers.#.attention
    r# = Add(x, o#) @layers.#.attention
    f# = LayerNormalization(r#, *2048, *2048) @layers.#.mlp
    u# = Linear(f#, *2048x8192, *8192) @layers.#.mlp
    g# = Gelu(u#) @layers.#.mlp
    d# = Linear(g#, *8192x2048, *2048) @layers.#.mlp
    x = Add(r#, d#) @layers.#.mlp
  end
  y = LayerNormalization(x, *2048, *2048) @norm
  logits = Linear(y, *table) {transposed=1} @head
  loss = CrossEntropy(logits, labels) @loss
)";

}  // namespace meshplan
