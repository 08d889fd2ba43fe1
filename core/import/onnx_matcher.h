// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "core/graph.h"
#include "core/import/onnx_rewrite.h"

namespace meshplan {

/// Looks at a graph backwards (who made this tensor) and forwards (who reads it), for finding
/// compositions of operators. Casts are looked through; dead operators do not count as readers.
class Matcher {
 public:
  explicit Matcher(const Graph& graph);

  const Graph& graph() const { return graph_; }
  bool live(OpId id) const { return live_[id.index()]; }
  const Tensor& tensor(TensorId t) const { return graph_.tensor(t); }
  const Shape& shape(TensorId t) const { return graph_.tensor(t).type.shape; }

  /// The tensor before casts.
  TensorId strip(TensorId t) const;
  /// The operator that made the tensor (casts looked through), or nullptr.
  const Operator* producer(TensorId t) const;
  /// As above, when it is of that def.
  const Operator* made(TensorId t, std::string_view def) const;
  /// The same tensor, casts aside.
  bool same(TensorId a, TensorId b) const { return strip(a) == strip(b); }
  /// How many live operators read the tensor; being an output of the graph counts as one more.
  uint32_t readers(TensorId t) const { return readers_[t.index()]; }
  /// The only reader of a tensor (casts looked through), or an invalid id.
  OpId onlyReader(TensorId t) const;
  /// A tensor that no input decides.
  bool isConstant(TensorId t) const;
  bool isParameter(TensorId t) const;
  /// The input of a binary operator that is not `input`; nothing when neither is it.
  TensorId other(const Operator& op, TensorId input) const;

 private:
  const Graph& graph_;
  std::vector<bool> live_;
  std::vector<uint32_t> readers_;
  std::vector<OpId> reader_;  // one of them
};

}  // namespace meshplan
