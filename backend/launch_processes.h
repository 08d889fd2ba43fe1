// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace meshplan {

/// Runs `command` (the path of a program, then its arguments; "/proc/self/exe" is this program)
/// once per rank on this host, as readLaunch() and connect() understand it, and waits for all.
/// Rank 0 has this process' input and output; of the others, lines of the standard error are passed
/// on as "[rank 3] LINE", and the standard output is dropped.
///
/// Returns 0 when all ranks do. Else the rest has 3 s to end by itself before it is told to end
/// (SIGTERM) and 1 s later killed; the result is the exit code of a rank that did not just fail
/// with the exit code of runtime errors, or else that code. A rank killed by a signal counts as a
/// runtime error and is named with the signal. SIGINT and SIGTERM are passed on to the ranks, which
/// have as long as they want after the first SIGINT; the result is then 128 + the signal unless all
/// ranks return 0. No rank outlives this process. Throws Error(runtime) when a process cannot be
/// started.
int launchProcesses(const std::vector<std::string>& command, int ranks);

/// The command that started this process, with its program as a path.
std::vector<std::string> ownCommand();

}  // namespace meshplan
