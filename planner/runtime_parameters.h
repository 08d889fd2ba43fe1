// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/training.h"

namespace meshplan {

/// What the host of a rank takes to issue work to its device, in seconds per launch; the device
/// works through what was issued meanwhile (planner/simulator.h). Small kernels wait for it.
/// docs/cost_model.md, "The host", says where the values come from.
struct RuntimeParameters {
  double forward = 0;     // an operator of the forward pass, or of its recomputation
  double backward = 0;    // an operator of the backward pass or of the update
  double collective = 0;  // a collective, send or receive
  /// Whether weight gradients are added to those of earlier micro-batches by kernels of their own,
  /// which read the new one and read and write the sum.
  bool addsGradients = false;
  /// Reads and writes of the gradients around an update, besides the update's own: setting them to
  /// zero, unscaling and looking for infinities, their norm, clipping.
  double gradientPasses = 0;
};

struct RuntimeDefinition {
  std::string_view name;  // in docs/cost_model.md
  double RuntimeParameters::*member;
};
std::span<const RuntimeDefinition> runtimeDefinitions();

RuntimeParameters runtimeParameters(RuntimeKind kind);

}  // namespace meshplan
