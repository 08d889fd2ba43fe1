// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/communicator.h"

namespace meshplan {

enum class Launcher : uint8_t { none, ownProcesses, mpirun, srun, torchrun };

/// Which rank this process is, as the program that started it says in the environment: `meshplan
/// run --launch processes` (MESHPLAN_RANK …), torchrun (RANK, WORLD_SIZE, MASTER_ADDR …), Open MPI
/// or another MPI (OMPI_COMM_WORLD_RANK, PMI_RANK …) or srun (SLURM_PROCID, SLURM_NTASKS …).
struct LaunchInfo {
  Launcher launcher = Launcher::none;
  int rank = 0, size = 1;
  int localRank = 0, localSize = 1;  // on this host
  std::string address;               // where rank 0 listens; empty: not known
  int port = 0;
  std::string token;  // secret of the job; empty: none was given
  int listener = -1;  // rank 0 of own processes: the socket that listens
  /// What tells jobs on one host apart; no secret.
  std::string job;
};

/// The value of an environment variable, or null.
using EnvironmentVariable = std::function<const char*(const char*)>;

/// Throws Error(usage) that names both variables when they contradict each other (a rank not below
/// its size, two launchers that disagree), or the one that is missing or no number.
LaunchInfo readLaunch(const EnvironmentVariable& environment);
LaunchInfo readLaunch();  // this process' environment

/// The communicator of all ranks of a launch: MPI under mpirun where it is available
/// (backend/comm/mpi.h) and MESHPLAN_COMMUNICATOR=sockets does not forbid it, else sockets. Ranks
/// of one host meet through a file that only their user can read (/tmp/meshplan-UID); ranks on
/// several hosts meet at address:port and must be given the same MESHPLAN_TOKEN, else Error(usage).
/// After a failure a rank that is busy for another 1.5 s is ended with the exit code of runtime
/// errors. A rank that does not answer is reported after 5 s and given up
/// MESHPLAN_STRAGGLER_SECONDS (30) later.
std::unique_ptr<Communicator> connect(const LaunchInfo& launch);

/// What carries the messages of that communicator, as profiles call it: "sockets" or "mpi";
/// "threads" where nothing was launched.
std::string transportOf(const LaunchInfo& launch);

}  // namespace meshplan
