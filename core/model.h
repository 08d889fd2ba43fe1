// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/graph.h"

namespace meshplan {

/// What the user asked for: a file (`.onnx`, a Hugging Face `config.json`), or a name of the model
/// zoo.
struct ModelRequest {
  std::string source;
  std::map<std::string, int64_t> dims;  // --dim name=value: symbolic dimensions of an ONNX file
  std::map<std::string, std::string> settings;  // --set key=value: overrides of config fields
  std::optional<int64_t> sequence;              // --seq
  std::optional<std::string> as;                // --as: read an unknown model_type like this one
  std::optional<int64_t> tripCount;  // --trip-count of Loop/Scan whose count is not constant
  std::optional<std::string>
      attention;  // --attention flash|flash-1|fused-softmax|math; default flash
};

/// Where the values of a parameter or constant of an imported model come from: the tensor of that
/// name in the model's file, reshaped and cast; or, where a file has no such tensor, the values
/// themselves (when they are few).
struct WeightOrigin {
  std::string name;
  std::vector<double> values;
};

/// A forward graph ready to be planned: batch dimensions propagated, loss appended, built at
/// `referenceBatch` samples.
struct Model {
  Graph graph;
  std::string name;    // what reports call it
  std::string source;  // as given by the user
  std::string family;  // "onnx", "llama", "gpt2", "resnet" ...
  int64_t referenceBatch = 1;
  int64_t tokensPerSample = 1;                  // sequence length for language models, 1 for images
  std::vector<std::string> warnings;            // what the reader had to assume, for stderr
  std::map<std::string, WeightOrigin> origins;  // by the name of the graph's tensor; ONNX only
};

}  // namespace meshplan
