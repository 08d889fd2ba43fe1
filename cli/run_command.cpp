// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "backend/agreed_error.h"
#include "backend/cores.h"
#include "backend/launch.h"
#include "backend/launch_processes.h"
#include "cli/command.h"
#include "cli/rank_backends.h"
#include "cli/run_arguments.h"
#include "cli/run_on_threads.h"
#include "cli/run_plan.h"
#include "cli/run_ranks.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Trains a model for real, on ranks of this machine's processor or, with --backend cuda, on "
    "its\n"
    "NVIDIA GPUs: one for each rank, or all ranks as threads on one.\n"
    "\n"
    "The plan is the best one for so many ranks, the best that --strategy allows, or one from a\n"
    "file. Every rank keeps its memory in one arena at the offsets that were planned.\n"
    "\n"
    "Ranks are threads, or processes with --launch processes. Started by mpirun, srun or "
    "torchrun,\n"
    "each process is one rank of their world. A rank that dies ends the others within two "
    "seconds,\n"
    "one that stops is reported after five; the exit code is then 5. Ctrl-C ends after the step "
    "and\n"
    "saves.\n"
    "\n"
    "Examples:\n"
    "  meshplan run mlp --ranks 2 --steps 100 --lr 0.01\n"
    "  meshplan run mlp --ranks 4 --strategy dp=2,pp=2 \\\n"
    "      --data idx:train-images-idx3-ubyte,train-labels-idx1-ubyte --checkpoint "
    "mlp.safetensors\n"
    "  meshplan run gpt2 --seq 64 -b 8 --ranks 2 --launch processes\n"
    "  meshplan run plan.json --data tokens:corpus.bin --resume gpt.safetensors\n"
    "  mpirun -n 4 meshplan run plan.json\n"
    "  torchrun --no-python --nproc-per-node 2 meshplan run mlp\n";

std::string started(const LaunchInfo& launch) {
  switch (launch.launcher) {
    case Launcher::mpirun:
      return fmt::format("mpirun started {} ranks", launch.size);
    case Launcher::srun:
      return fmt::format("srun started {} ranks", launch.size);
    case Launcher::torchrun:
      return fmt::format("WORLD_SIZE={} says there are {} ranks", launch.size, launch.size);
    default:
      return fmt::format("{} ranks were started", launch.size);
  }
}

/// An interactive shell of Slurm is a job step of one rank.
bool isRank(const LaunchInfo& launch) {
  return launch.launcher != Launcher::none &&
         !(launch.launcher == Launcher::srun && launch.size == 1);
}

/// 0 when they have different numbers of ranks.
int hostsOf(Communicator& world, const HostShare& share) {
  double ranks[] = {static_cast<double>(share.ranks), -static_cast<double>(share.ranks)};
  world.allReduce(ranks, 2, DType::f64, ReduceOp::max);
  return ranks[0] == -ranks[1] ? world.size() / share.ranks : 0;
}

class RunCommand : public Command {
 public:
  explicit RunCommand(CLI::App& app) : Command(&app) { arguments_.addTo(app); }

  int run() override {
    const LaunchInfo launch = readLaunch();
    if (launch.rank != 0) silenceMessages();
    arguments_.check();
    if (isRank(launch)) return runAsRank(launch);
    const int64_t ranks = ranksToRun(arguments_);
    if (arguments_.launch == "processes")
      return launchProcesses(ownCommand(), static_cast<int>(ranks));
    runOnThreads(arguments_, ranks);
    return interrupted() ? kInterrupted : 0;
  }

 private:
  static constexpr int kInterrupted = 130;

  void checkLaunch(const LaunchInfo& launch) const {
    if (launch.launcher != Launcher::ownProcesses && !arguments_.launch.empty())
      throw Error(
          ErrorKind::usage,
          fmt::format("{}, and --launch {} asks to start some", started(launch), arguments_.launch),
          "leave --launch out, or start meshplan by itself");
    if (arguments_.ranks > 0 && arguments_.ranks != launch.size)
      throw Error(ErrorKind::usage,
                  fmt::format("{}, but --ranks asks for {}", started(launch), arguments_.ranks),
                  "leave --ranks out, or start as many");
  }

  int runAsRank(const LaunchInfo& launch) {
    checkLaunch(launch);
    const auto world = connect(launch);
    catchInterrupts();
    try {
      agreeOnOptions(*world, arguments_);
      const HostShare share = shareCores(*world);
      const auto backend = rankBackend(arguments_.backend, localRanksOf(arguments_, share), *world,
                                       transportOf(launch));
      RunMachine machine = machineOf(arguments_, *backend, world->rank() == 0);
      machine.hosts = hostsOf(*world, share);
      const RunPlan chosen = agreeOnRunPlan(*world, arguments_, machine);
      RunRanks run(arguments_, chosen, machine, *backend);
      run.announce(share, world->rank() == 0);
      run.train(*world);
      run.finish(world->rank() == 0);
    } catch (const PeerError& error) {
      if (world->rank() == 0 || !error.gaveUp()) throw;
      return exitCode(error.kind());
    } catch (const AgreedError& error) {
      if (world->rank() == 0) throw;
      return exitCode(error.kind());
    } catch (const Error& error) {
      world->abort(error.what());
      if (world->rank() == 0) throw;
      return exitCode(error.kind());
    } catch (const std::exception& error) {
      world->abort(error.what());
      throw;
    }
    return interrupted() ? kInterrupted : 0;
  }

  RunArguments arguments_;
};

}  // namespace

std::unique_ptr<Command> runCommand(CLI::App& parent) {
  return std::make_unique<RunCommand>(*parent.add_subcommand("run", kDescription));
}

}  // namespace meshplan
