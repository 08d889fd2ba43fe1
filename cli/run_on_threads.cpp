// SPDX-License-Identifier: Apache-2.0
#include "cli/run_on_threads.h"

#include <ctime>

#include "cli/rank_backends.h"
#include "cli/run_ranks.h"
#include "cli/terminal.h"

namespace meshplan {

RunMachine machineOf(const RunArguments& arguments, const RankBackend& backend, bool stores) {
  RunMachine machine;
  machine.memory = backend.memory();
  if (stores) machine.profiles = usableStore(arguments.profiles.path());
  machine.transport = backend.transport();
  machine.started = std::time(nullptr);
  return machine;
}

RunRecord runOnThreads(const RunArguments& arguments, int64_t ranks) {
  catchInterrupts();
  const HostShare share = shareCores(static_cast<int>(ranks));
  const auto backend = rankBackend(arguments.backend, localRanksOf(arguments, share));
  const RunMachine machine = machineOf(arguments, *backend, true);
  const RunPlan chosen = chooseRunPlan(arguments, ranks, machine);
  RunRanks run(arguments, chosen, machine, *backend);
  run.announce(share, true);
  backend->runThreads(static_cast<int>(ranks), [&](Communicator& world) { run.train(world); });
  return run.finish(true);
}

}  // namespace meshplan
