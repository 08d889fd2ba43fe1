// SPDX-License-Identifier: Apache-2.0
#include "backend/loss_scale.h"

#include "core/error.h"

namespace meshplan {

void LossScale::finishStep(bool overflowed) {
  if (!overflowed) {
    if (++goodSteps < kGrowthInterval) return;
    scale *= kGrowth;
    goodSteps = 0;
    return;
  }
  if (scale <= 1)
    throw Error(ErrorKind::runtime, "gradients are not finite in fp16, with no scaling left",
                "use --precision bf16, or lower the learning rate");
  scale *= kBackoff;
  goodSteps = 0;
  ++skippedSteps;
}

}  // namespace meshplan
