// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/graph.h"

namespace meshplan {

/// Small and classic networks as forward graphs with a cross-entropy loss, for a batch of `batch`
/// samples.
Graph buildResnet50(
    int64_t batch);  // He et al. 2016 (arXiv:1512.03385) as torchvision has it: stride in the 3x3
Graph buildVgg16(int64_t batch);  // Simonyan and Zisserman 2015 (arXiv:1409.1556), configuration D
Graph buildPerceptron(int64_t batch);  // 784-1024-512-10
Graph buildSmallCnn(
    int64_t batch);  // conv 1-10 k5, pool, conv 10-20 k5, pool, 320-50-10 on 28 x 28 images

}  // namespace meshplan
