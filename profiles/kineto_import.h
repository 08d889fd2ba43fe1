// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "profiles/imported.h"

namespace meshplan {

/// Reads traces of PyTorch's profiler (torch.profiler with record_shapes=True; .json or .json.gz).
/// The files are those of one job, one per rank. Operators come from calls with shapes and the
/// kernels below them (profiles/operator_trace.h), tied by external id, else by the launch with the
/// same correlation; a trace without kernels gives the host's times. Collectives are matched over
/// the files (profiles/collective_matcher.h). NCCL's kernels never count as an operator's.
///
/// Throws Error(input) naming file and line for what is no trace or ends early, Error(usage) where
/// neither the traces nor the options name the device.
void importKineto(const std::vector<std::string>& paths, const ImportOptions& options,
                  ImportCollector& collector);

}  // namespace meshplan
