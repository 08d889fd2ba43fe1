// SPDX-License-Identifier: Apache-2.0
#include "backend/launch.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "backend/comm/meeting_file.h"
#include "backend/comm/mpi.h"
#include "backend/comm/sockets.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// An environment variable with its name, for messages.
struct Variable {
  const char* name = nullptr;
  int value = 0;
  std::string text() const { return fmt::format("{}={}", name, value); }
};

class Variables {
 public:
  explicit Variables(const EnvironmentVariable& environment) : environment_(environment) {}

  bool has(const char* name) const { return !text(name).empty(); }
  std::string text(const char* name) const {
    const char* value = environment_(name);
    return value ? value : "";
  }
  std::optional<Variable> number(const char* name) const;
  Variable needed(const char* name, const char* because) const;

 private:
  const EnvironmentVariable& environment_;
};

std::optional<Variable> Variables::number(const char* name) const {
  const std::string value = text(name);
  if (value.empty()) return std::nullopt;
  Variable variable{name};
  const auto [end, status] =
      std::from_chars(value.data(), value.data() + value.size(), variable.value);
  if (status != std::errc() || end != value.data() + value.size() || variable.value < 0)
    throw Error(ErrorKind::usage, fmt::format("{}={} is not a number of 0 or more", name, value));
  return variable;
}

Variable Variables::needed(const char* name, const char* because) const {
  if (const auto variable = number(name)) return *variable;
  throw Error(ErrorKind::usage, fmt::format("{} is set but {} is not", because, name),
              "set both or neither");
}

Error contradiction(const std::string& a, const std::string& b, const std::string& why) {
  return Error(ErrorKind::usage, fmt::format("{} contradicts {}: {}", a, b, why),
               "start the ranks with one launcher, or unset what is left over from another one");
}

/// The variables of one launcher; null where it has none.
struct Names {
  Launcher launcher;
  const char *rank, *size, *localRank, *localSize;
};
constexpr Names kOwn{Launcher::ownProcesses, "MESHPLAN_RANK", "MESHPLAN_SIZE", "MESHPLAN_RANK",
                     "MESHPLAN_SIZE"};
constexpr Names kTorchrun{Launcher::torchrun, "RANK", "WORLD_SIZE", "LOCAL_RANK",
                          "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi{Launcher::mpirun, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                         "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Names kPmi{Launcher::mpirun, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
                     "MPI_LOCALNRANKS"};
constexpr Names kSrun{Launcher::srun, "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr};

struct Claim {
  LaunchInfo info;
  Variable rank, size;
};

void checkBelow(const Variable& rank, const Variable& size) {
  if (rank.value >= size.value)
    throw contradiction(rank.text(), size.text(),
                        "ranks count from 0 to one less than their number");
}

std::optional<Claim> claimOf(const Variables& env, const Names& names) {
  if (!env.has(names.rank) && !env.has(names.size)) return std::nullopt;
  Claim claim{.info = {},
              .rank = env.needed(names.rank, names.size),
              .size = env.needed(names.size, names.rank)};
  checkBelow(claim.rank, claim.size);
  LaunchInfo& info = claim.info;
  info.launcher = names.launcher;
  info.rank = claim.rank.value;
  info.size = claim.size.value;
  const auto localRank = env.number(names.localRank);
  const auto localSize = names.localSize ? env.number(names.localSize) : std::nullopt;
  if (localRank && localSize) checkBelow(*localRank, *localSize);
  if (localSize && localSize->value > info.size)
    throw contradiction(localSize->text(), claim.size.text(),
                        "more ranks on this host than in all");
  info.localRank = localRank ? localRank->value : 0;
  info.localSize = localSize ? localSize->value : 1;
  return claim;
}

/// Slurm sets SLURM_PROCID and SLURM_NTASKS also in a batch script, which is not a rank.
std::optional<Claim> srunClaim(const Variables& env) {
  if (!env.has("SLURM_STEP_ID") && !env.has("SLURM_STEP_NODELIST")) return std::nullopt;
  auto claim = claimOf(env, kSrun);
  if (!claim) return claim;
  const auto nodes = env.number("SLURM_STEP_NUM_NODES");
  const auto allNodes = env.number("SLURM_NNODES");
  if ((nodes && nodes->value == 1) || (!nodes && allNodes && allNodes->value == 1))
    claim->info.localSize = claim->info.size;
  return claim;
}

/// The first name of a list such as "node[03-04,7],other".
std::string firstHost(const std::string& list) {
  const size_t open = list.find_first_of("[,");
  if (open == std::string::npos || list[open] == ',') return list.substr(0, open);
  const size_t end = list.find_first_of("-,]", open);
  return list.substr(0, open) + list.substr(open + 1, end - open - 1);
}

void readPlace(const Variables& env, LaunchInfo& info) {
  info.address = env.text("MASTER_ADDR");
  if (const auto port = env.number("MASTER_PORT")) {
    if (port->value < 1 || port->value > 65535)
      throw Error(ErrorKind::usage, fmt::format("{} is not a port", port->text()));
    info.port = port->value;
  }
}

void completeTorchrun(const Variables& env, LaunchInfo& info) {
  readPlace(env, info);
  for (const char* name : {"MASTER_ADDR", "MASTER_PORT"})
    if (!env.has(name))
      throw Error(ErrorKind::usage,
                  fmt::format("RANK={} and WORLD_SIZE={} are set but {} is not", info.rank,
                              info.size, name),
                  "set MASTER_ADDR and MASTER_PORT to where rank 0 shall listen");
  info.job = fmt::format("torchrun-{}-{}", info.port, env.text("TORCHELASTIC_RUN_ID"));
  // torchrun itself listens at MASTER_PORT.
  if (env.has("TORCHELASTIC_RUN_ID")) info.port = info.port % 65535 + 1;
}

void completeSrun(const Variables& env, LaunchInfo& info) {
  readPlace(env, info);
  const auto job = env.number("SLURM_JOB_ID");
  const auto step = env.number("SLURM_STEP_ID");
  info.job = fmt::format("srun-{}-{}", job ? job->value : 0, step ? step->value : 0);
  if (info.address.empty()) info.address = firstHost(env.text("SLURM_STEP_NODELIST"));
  if (info.port == 0)
    info.port = 20000 + ((job ? job->value % 1000 : 0) * 16 + (step ? step->value % 16 : 0));
}

void completeMpirun(const Variables& env, LaunchInfo& info) {
  readPlace(env, info);
  info.job = "mpirun-" + env.text("PMIX_NAMESPACE") + env.text("OMPI_MCA_ess_base_jobid");
}

void completeOwn(const Variables& env, LaunchInfo& info) {
  info.address = "127.0.0.1";
  info.port = env.needed("MESHPLAN_PORT", "MESHPLAN_RANK").value;
  if (info.rank == 0) info.listener = env.needed("MESHPLAN_LISTENER", "MESHPLAN_RANK").value;
}

/// srun may start one torchrun per node, which starts the ranks.
bool startedTorchrun(const Claim& srun, const Claim& torchrun) {
  return torchrun.info.size == srun.info.size * torchrun.info.localSize;
}

void compareClaims(const std::vector<Claim>& claims) {
  for (size_t i = 1; i < claims.size(); ++i) {
    const Claim &a = claims[0], &b = claims[i];
    if (a.info.launcher == Launcher::torchrun && b.info.launcher == Launcher::srun &&
        startedTorchrun(b, a))
      continue;
    if (a.size.value != b.size.value)
      throw contradiction(a.size.text(), b.size.text(), "how many ranks are there?");
    if (a.rank.value != b.rank.value)
      throw contradiction(a.rank.text(), b.rank.text(), "which rank is this?");
  }
}

const char* processEnvironment(const char* name) {
  return std::getenv(name);
}

bool isLoopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.rfind("127.", 0) == 0;
}

StreamOptions streamOptions(const EnvironmentVariable& environment) {
  StreamOptions options;
  if (const auto seconds = Variables(environment).number("MESHPLAN_STRAGGLER_SECONDS"))
    options.liveness.failAfter = std::chrono::seconds(seconds->value);
  options.exitAfterFailure = std::chrono::milliseconds(1500);
  return options;
}

bool isOneHost(const LaunchInfo& launch) {
  return launch.localSize == launch.size || isLoopback(launch.address);
}

bool usesMpi(bool oneHost) {
  const std::string asked = Variables(processEnvironment).text("MESHPLAN_COMMUNICATOR");
  if (!asked.empty() && asked != "mpi" && asked != "sockets")
    throw Error(ErrorKind::usage, fmt::format("MESHPLAN_COMMUNICATOR={} is not known", asked),
                "set it to mpi or sockets");
  return asked == "mpi" || (asked.empty() && (!oneHost || mpiAvailable()));
}

}  // namespace

LaunchInfo readLaunch(const EnvironmentVariable& environment) {
  const Variables env(environment);
  std::vector<Claim> claims;
  if (auto own = claimOf(env, kOwn)) {
    claims.push_back(*own);  // whatever else is set was set around the launcher
  } else {
    for (const Names& names : {kTorchrun, kOpenMpi, kPmi})
      if (auto claim = claimOf(env, names)) claims.push_back(*claim);
    if (auto claim = srunClaim(env)) claims.push_back(*claim);
    compareClaims(claims);
  }
  if (claims.empty()) return {};
  LaunchInfo info = claims[0].info;
  info.token = env.text("MESHPLAN_TOKEN");
  switch (info.launcher) {
    case Launcher::ownProcesses:
      completeOwn(env, info);
      break;
    case Launcher::torchrun:
      completeTorchrun(env, info);
      break;
    case Launcher::srun:
      completeSrun(env, info);
      break;
    default:
      completeMpirun(env, info);
  }
  return info;
}

LaunchInfo readLaunch() {
  return readLaunch(processEnvironment);
}

std::string transportOf(const LaunchInfo& launch) {
  if (launch.launcher == Launcher::none) return "threads";
  return launch.launcher == Launcher::mpirun && usesMpi(isOneHost(launch)) ? "mpi" : "sockets";
}

std::unique_ptr<Communicator> connect(const LaunchInfo& launch) {
  const StreamOptions options = streamOptions(processEnvironment);
  const bool oneHost = isOneHost(launch);
  if (transportOf(launch) == "mpi") return connectMpi(launch.rank, launch.size, options);
  Rendezvous meeting;
  meeting.rank = launch.rank;
  meeting.size = launch.size;
  meeting.token = launch.token;
  meeting.listener = launch.listener;
  meeting.port = launch.port;
  if (launch.launcher == Launcher::ownProcesses || launch.size == 1)
    return connectSockets(meeting, options);
  if (oneHost) return connectThroughFile(meeting, launch.job, options);
  meeting.address = launch.address;
  if (meeting.token.empty())
    throw Error(ErrorKind::usage,
                fmt::format("ranks on several hosts meet at {}:{} without a secret", launch.address,
                            launch.port),
                "export MESHPLAN_TOKEN=$(openssl rand -hex 16), the same on all hosts");
  return connectSockets(meeting, options);
}

}  // namespace meshplan
