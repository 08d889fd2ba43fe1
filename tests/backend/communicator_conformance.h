// SPDX-License-Identifier: Apache-2.0
#pragma once
// What every communicator must do, as checks that all ranks of a group run together; they report
// through GoogleTest's EXPECT and can run on threads or in processes.

#include <string>
#include <vector>

#include "backend/communicator.h"

namespace meshplan {

struct ConformanceCheck {
  std::string name;
  void (*run)(Communicator& world);
};

const std::vector<ConformanceCheck>& conformanceChecks();

}  // namespace meshplan
