// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/host_tensor.h"

namespace meshplan {

/// A conformance case of ONNX (onnx/backend/test/data): a folder with a `model.onnx` and
/// `test_data_set_*` folders that hold `input_*.pb` and the `output_*.pb` that they must give.
struct OnnxCaseResult {
  enum Outcome : uint8_t { passed, failed, unsupported };
  std::string folder;
  std::string op;  // the operator type of its nodes; "several" where they differ
  Outcome outcome = passed;
  bool known = true;   // every operator type of it is known
  bool plain = true;   // its inputs and outputs are tensors of numbers of 8 bits and more
  std::string reason;  // empty when passed
};

/// All folders below `root` (itself included) that hold a model.onnx, sorted. Throws Error(input)
/// when there is none.
std::vector<std::string> findOnnxCases(const std::string& root);

/// Evaluates a case's model on every data set. Outputs must have the expected type and shape and
/// agree to a relative 1e-3 plus an absolute 1e-7 (the tolerance of ONNX's own runner), integers
/// and truth values exactly.
OnnxCaseResult runOnnxCase(const std::string& folder, int threads);

/// Where and how `actual` differs from `expected`; empty when it does not.
std::string differenceOf(const HostTensor& actual, const HostTensor& expected);

}  // namespace meshplan
