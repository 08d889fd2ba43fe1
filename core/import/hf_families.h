// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/import/model_config.h"
#include "core/import/transformer.h"
#include "core/model.h"

namespace meshplan {

/// What the builder of one family of Hugging Face models is handed; it fills `model.graph`,
/// `model.tokensPerSample` and `model.warnings`. `nested`: the fields stand in a text_config, which
/// may leave class defaults out.
struct HfSource {
  const ModelConfig& config;
  const ModelRequest& request;
  Model& model;
  bool nested = false;
};

void buildLlama(HfSource source);
void buildMistral(HfSource source);
void buildMixtral(HfSource source);
void buildQwen2(HfSource source);
void buildQwen3(HfSource source);
void buildQwen3Moe(HfSource source);
void buildDeepseekV3(HfSource source);
void buildGpt2(HfSource source);
void buildBert(HfSource source);
void buildVit(HfSource source);
void buildT5(HfSource source);

/// --attention, checked: "flash", "flash-1", "fused-softmax" or "math".
std::string attentionImplementation(const ModelRequest& request);

/// --seq, else `positions` limited to `most` (with a warning). `learned`: more than `positions` is
/// an Error(usage).
int64_t sequenceLength(HfSource source, int64_t positions, int64_t most, bool learned);

/// The operator for a `hidden_act`, gated or not; an unknown one counts as gelu, with a warning.
Activation activationNamed(HfSource source, const std::string& name, bool gated);

/// Input [batch, sequence] of int64 at the reference batch.
TensorId addTokens(Model& model, const std::string& name, int64_t sequence);

}  // namespace meshplan
