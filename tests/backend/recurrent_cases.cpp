// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

/// 3 steps of 2 samples with 4 inputs and 2 hidden values, with or without bias and initial states.
KernelCase recurrentCase(std::string_view def, const char* direction, bool bias, bool initial) {
  const int64_t gates = def == "LSTM" ? 4 : def == "GRU" ? 3 : 1;
  const int64_t d = std::string_view(direction) == "bidirectional" ? 2 : 1, h = 2;
  KernelCase c{
      def,
      {{"direction", std::string(direction)},
       {"has_bias", int64_t{bias}},
       {"has_initial", int64_t{initial}}},
      {anyValues({3, 2, 4}, 1), anyValues({d, gates * h, 4}, 2), anyValues({d, gates * h, h}, 3)}};
  if (bias) c.inputs.push_back(anyValues({d, 2 * gates * h}, 4));
  if (initial) c.inputs.push_back(anyValues({d, 2, h}, 5));
  if (initial && def == "LSTM") c.inputs.push_back(anyValues({d, 2, h}, 6));
  return c;
}

}  // namespace

std::vector<KernelCase> recurrentCases() {
  std::vector<KernelCase> cases;
  for (std::string_view def : {"LSTM", "GRU", "RNN"})
    for (const char* direction : {"forward", "reverse", "bidirectional"})
      for (const bool bias : {false, true})
        for (const bool initial : {false, true}) {
          cases.push_back(recurrentCase(def, direction, bias, initial));
          if (def != "GRU") continue;
          cases.push_back(cases.back());
          cases.back().attributes.set("linear_before_reset", int64_t{1});
        }
  return cases;
}

}  // namespace meshplan
