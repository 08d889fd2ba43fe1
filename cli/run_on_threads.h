// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run_arguments.h"
#include "cli/run_record.h"

namespace meshplan {

/// Plans and trains on ranks that are threads of this process, as `meshplan run` does: prints what
/// the arguments ask for, and returns what was measured.
RunRecord runOnThreads(const RunArguments& arguments, int64_t ranks);

/// What ranks of this backend have; `stores`: whether this process predicts and stores the run.
RunMachine machineOf(const RunArguments& arguments, const RankBackend& backend, bool stores);

}  // namespace meshplan
