// SPDX-License-Identifier: Apache-2.0
#include "cli/run_on_threads.h"

#include <ctime>

#include "backend/host_memory.h"
#include "cli/run_ranks.h"
#include "cli/terminal.h"

namespace meshplan {

RunMachine machineOf(const RunArguments& arguments, const HostShare& share,
                     const std::string& transport, bool stores) {
  return {Bytes(availableMemory().value / share.ranks), true,
          stores ? usableStore(arguments.profiles.path()) : std::string(), transport,
          std::time(nullptr)};
}

RunRecord runOnThreads(const RunArguments& arguments, int64_t ranks) {
  catchInterrupts();
  const HostShare share = shareCores(static_cast<int>(ranks));
  const RunMachine machine = machineOf(arguments, share, "threads", true);
  const RunPlan chosen = chooseRunPlan(arguments, ranks, machine);
  RunRanks run(arguments, chosen, machine);
  run.announce(share, true);
  run.backend().runThreads(static_cast<int>(ranks), [&](Communicator& world) { run.train(world); });
  return run.finish(true);
}

}  // namespace meshplan
