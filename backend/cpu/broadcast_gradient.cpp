// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/broadcast_gradient.h"

namespace meshplan {

void passGradient(const CpuContext& context, const TensorView& dy, const TensorView& to,
                  double factor) {
  const StridedBox box = broadcastBox(dy.type.shape, to.type.shape);
  if (factor == 1 && dy.type.elements() == to.type.elements()) return copyBox(context, box, dy, to);
  sumBox(context, box, dy, to, factor);
}

}  // namespace meshplan
