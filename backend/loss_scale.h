// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshplan {

/// How much the loss is scaled in training in fp16, so that small gradients do not become zero:
/// dynamically, with the defaults of PyTorch's GradScaler (docs.pytorch.org/docs/stable/amp.html:
/// init_scale 65536, growth_factor 2, backoff_factor 0.5, growth_interval 2000). A step whose
/// gradients are not all finite changes no weights. The same on all ranks.
struct LossScale {
  static constexpr double kGrowth = 2, kBackoff = 0.5;
  static constexpr int64_t kGrowthInterval = 2000;

  double scale = 65536;
  int64_t goodSteps = 0;     // since the scale was changed
  int64_t skippedSteps = 0;  // in all; the optimizer counts only the others

  /// Throws Error(runtime) when the gradients overflowed at a scale of 1, DeepSpeed's smallest
  /// (deepspeed.readthedocs.io, "min_loss_scale"): no scale would help.
  void finishStep(bool overflowed);
  bool operator==(const LossScale&) const = default;
};

}  // namespace meshplan
