// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "core/graph.h"

namespace meshplan {

/// What a framework does with a convolutional network beyond its graph, by `--set`:
///   layout=NCHW|NHWC  where images keep their channels; matrix units want them last, and NCHW
///   costs
///                     transposes around every convolution. Default: NHWC in 16 bits, else NCHW.
///   fused=on|elementwise|off  on: an activation runs inside the normalisation before it, with the
///                     residual sum between them (cuDNN's fused kernels in MXNet and PaddlePaddle);
///                     elementwise: only inside a sum before it (XLA, which leaves normalisations
///                     to cuDNN). Default: off, as in eager PyTorch.
/// Sets the attributes `layout` of convolutions and `fused` of elementwise operators. Throws
/// Error(usage) for another setting or value.
void applyImageSettings(Graph& graph, const std::string& model,
                        const std::map<std::string, std::string>& settings);

}  // namespace meshplan
