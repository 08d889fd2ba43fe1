// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>
#include <string>
#include <vector>

#include "core/work.h"
#include "profiles/profile_store.h"

namespace meshplan {

/// Measurements with every field set, different for every seed.
OperatorWork exampleWork(uint32_t seed);
OperatorMeasurement exampleOperator(uint32_t seed);
CollectiveMeasurement exampleCollective(uint32_t seed);
RunMeasurement exampleRun(uint32_t seed);
std::vector<InstructionMeasurement> exampleInstructions(uint32_t seed);

/// Every field of them, for comparing.
std::string textOf(const OperatorMeasurement& m);
std::string textOf(const CollectiveMeasurement& m);
std::string textOf(const RunMeasurement& m);
std::string textOf(const InstructionMeasurement& m);
template <class Row>
std::vector<std::string> textsOf(const std::vector<Row>& rows) {
  std::vector<std::string> texts;
  for (const Row& row : rows) texts.push_back(textOf(row));
  return texts;
}

}  // namespace meshplan
