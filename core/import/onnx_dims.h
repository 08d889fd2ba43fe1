// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/model.h"

namespace meshplan {

namespace onnx {
class TensorShapeProto;
}

/// Gives symbolic dimensions their values: names and expressions of names ("2*s0", "s0 + 1",
/// "s0 // 2") from `--dim`, usual names of the sequence from `--seq`. A dimension without a name is
/// called TENSOR.INDEX. Unbound names are collected so that one error can list all of them.
class DimBinder {
 public:
  explicit DimBinder(const ModelRequest& request) : request_(request) {}

  /// The shape of a graph input. Unbound dimensions become 1 and are remembered. Throws
  /// Error(input) for a dimension that is 0, negative or overflows.
  Shape bind(const std::string& tensor, const onnx::TensorShapeProto& shape);

  /// A shape where everything is bound, else nothing; nothing is remembered.
  std::optional<Shape> tryBind(const onnx::TensorShapeProto& shape) const;

  /// Throws the Error(input) that lists all unbound names with the options that bind them.
  void finish() const;

  /// Whether `name` was asked for by some dimension.
  bool used(const std::string& name) const { return used_.count(name) > 0; }

 private:
  std::optional<int64_t> lookup(const std::string& name) const;
  std::optional<int64_t> evaluate(const std::string& text, std::set<std::string>& unbound) const;

  const ModelRequest& request_;
  std::set<std::string> unbound_;
  mutable std::set<std::string> used_;
};

}  // namespace meshplan
