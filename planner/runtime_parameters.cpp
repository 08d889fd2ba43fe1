// SPDX-License-Identifier: Apache-2.0
#include "planner/runtime_parameters.h"

namespace meshplan {
namespace {

constexpr RuntimeDefinition kDefinitions[] = {
    {"host_forward", &RuntimeParameters::forward},
    {"host_backward", &RuntimeParameters::backward},
    {"host_collective", &RuntimeParameters::collective},
};

}  // namespace

std::span<const RuntimeDefinition> runtimeDefinitions() {
  return kDefinitions;
}

RuntimeParameters runtimeParameters(RuntimeKind kind) {
  switch (kind) {
    case RuntimeKind::pytorch:
      return {20e-6, 10e-6, 15e-6};
    case RuntimeKind::megatron:
      return {86e-6, 19e-6, 15e-6};
    case RuntimeKind::native:
      break;
  }
  return {};
}

}  // namespace meshplan
