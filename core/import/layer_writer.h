// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/graph.h"

namespace meshplan {

/// Dotted module names without empty parts: join("model.layers", "0", "mlp").
template <class... Parts>
std::string joinNames(const Parts&... parts) {
  std::string name;
  ((name += (name.empty() || std::string_view(parts).empty() ? "" : "."), name += parts), ...);
  return name;
}

/// Appends layers with their parameters to a graph. Parameters are fp32 and named like the
/// checkpoint's tensors: operator name plus "weight" or "bias". Throws Error(input) for a size that
/// overflows.
class LayerWriter {
 public:
  explicit LayerWriter(Graph& graph) : graph_(graph) {}

  struct LinearOptions {
    bool bias = false;
    int64_t outBlock = 1, inBlock = 1;
  };

  Graph& graph() { return graph_; }
  int64_t extent(TensorId x, int dim) const;  // negative: from the end

  TensorId parameter(const std::string& name, Shape shape);
  /// First output of a new operator.
  TensorId add(std::string_view def, std::vector<TensorId> inputs, Attributes attributes,
               const std::string& module, const std::string& name);

  TensorId linear(TensorId x, int64_t outFeatures, LinearOptions options, const std::string& module,
                  const std::string& name);
  TensorId layerNorm(TensorId x, const std::string& module, const std::string& name);
  TensorId rmsNorm(TensorId x, const std::string& module, const std::string& name);
  /// x itself when the ratio is 0.
  TensorId dropout(TensorId x, double ratio, const std::string& module, const std::string& name);
  TensorId embedding(TensorId ids, TensorId table, const std::string& module,
                     const std::string& name);
  /// The weight of a language-model head: the [vocabulary, hidden] embedding table itself when
  /// tied, else a new parameter lm_head.weight [hidden, vocabulary].
  TensorId headWeight(TensorId table, bool tied);
  TensorId head(TensorId x, TensorId weight, bool tied, const std::string& module,
                const std::string& name);
  /// Attributes: `unfused` = 1, maximum, subtraction, exponential, sum and division are kernels of
  /// their own; `half` = 1, the loss reads 16-bit logits as they are, not widened to fp32.
  void loss(TensorId logits, TensorId labels, const std::string& module, const std::string& name,
            const Attributes& attributes = {});

 private:
  Graph& graph_;
};

}  // namespace meshplan
