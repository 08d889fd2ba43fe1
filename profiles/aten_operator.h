// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "profiles/operator_form.h"

namespace meshplan {

/// One call of an operator of PyTorch's ATen library as profilers record it, by the order of its
/// arguments in native_functions.yaml. Types and values are empty where the profiler keeps none.
struct AtenCall {
  struct Argument {
    Shape shape;          // of a tensor
    std::string type;     // "float", "c10::BFloat16", "long int", "Scalar", "ScalarList", ""
    std::string value;    // of anything else: "[1, 1]", "True", "0.1"
    bool listed = false;  // a list of tensors
  };
  std::string name;  // "aten::addmm"
  std::vector<Argument> arguments;
  bool typed = false, valued = false;  // whether types, values were kept
};

/// `dims`, `types` and `values` are JSON arrays with one entry per argument, "" where there are
/// none. Nothing when they are no such arrays.
std::optional<AtenCall> parseAtenCall(std::string_view name, const std::string& dims,
                                      const std::string& types, const std::string& values);

/// What ran beneath a call, for what its arguments do not say.
struct AtenHints {
  bool tf32 = false;             // matrix products of fp32 in TF32
  bool mathAttention = false;    // attention by single operators
  std::optional<DType> compute;  // of the kernels, for calls without types
};

/// The operators of ours that a graph may have in place of a call, in the precisions in which a
/// plan may have them (fp32 tensors that no matrix unit works on occur in tf32 plans too). Empty
/// with the reason when there is none or the record does not suffice.
struct AtenForms {
  std::vector<OperatorForm> forms;
  std::vector<Precision> precisions;
  std::string reason;
};
AtenForms atenForms(const AtenCall& call, const AtenHints& hints);

/// Whether some call of that name has a counterpart.
bool isAtenOperator(std::string_view name);

/// Elements of the result of mm, bmm, addmm, baddbmm or matmul; nothing for other calls.
std::optional<int64_t> productElements(const AtenCall& call);

}  // namespace meshplan
