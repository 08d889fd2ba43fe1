// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "tests/cuda_emulation/emulator.h"

namespace meshplan::emulation {

/// Runs all blocks of a launch in the calling thread. Throws std::logic_error where threads of a
/// block wait at barriers that can never be passed.
void runKernel(const cudaLaunchConfig_t& config, const std::function<void()>& body);

}  // namespace meshplan::emulation
