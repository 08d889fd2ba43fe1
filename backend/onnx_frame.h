// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "backend/onnx_evaluator.h"

namespace meshplan {

/// The tensors of one graph, body or function while it is evaluated, and what encloses it.
struct OnnxEvaluator::Frame {
  const Frame* parent = nullptr;
  std::unordered_map<std::string, HostTensor> values;
  std::map<std::string, const onnx::AttributeProto*> actuals;  // of a function call
  std::set<std::string> kept;                                  // outputs
  int64_t opset = 1;

  /// Null when there is none of that name.
  const HostTensor* find(const std::string& name) const;
  /// Throws Error(input) when nothing made it.
  const HostTensor& at(const std::string& name) const;
  /// A node's attribute with references of a function resolved, or null.
  const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name) const;
};

}  // namespace meshplan
