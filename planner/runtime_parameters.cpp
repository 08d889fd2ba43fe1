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
      return {.forward = 20e-6,
              .backward = 10e-6,
              .collective = 15e-6,
              .addsGradients = true,
              .gradientPasses = 2};
    case RuntimeKind::megatron:
      return {.forward = 86e-6,
              .backward = 19e-6,
              .collective = 15e-6,
              .addsGradients = true,
              .gradientPasses = 6};
    case RuntimeKind::megatronCore:
      return {.forward = 43e-6,
              .backward = 10e-6,
              .collective = 15e-6,
              .addsGradients = false,
              .gradientPasses = 6};
    case RuntimeKind::native:
      break;
  }
  return {};
}

}  // namespace meshplan
