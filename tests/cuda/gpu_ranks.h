// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/backend/plan_runner.h"

namespace meshplan {

/// Runs ranks as threads that share GPU 0 (backend/cuda/shared_gpu.h).
void startOnSharedGpu(int ranks, const RankBody& body);

}  // namespace meshplan
