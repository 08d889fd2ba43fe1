// SPDX-License-Identifier: Apache-2.0
// One rank of a job, or the launcher of all: what the tests kill, stop and listen to.
//   rank_program launch RANKS FOLDER WHAT   starts RANKS copies of `rank_program rank FOLDER WHAT`
//   rank_program rank FOLDER WHAT           writes its process id to FOLDER/rankN.pid and does WHAT
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "backend/launch.h"
#include "backend/launch_processes.h"
#include "backend/link_probe.h"
#include "core/error.h"
#include "core/hardware_json.h"
#include "tests/backend/communicator_conformance.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;

void sumOnce(Communicator& comm) {
  double x = comm.rank() + 1;
  comm.allReduce(&x, 1, DType::f64, ReduceOp::sum);
  if (comm.rank() == 0) fmt::print("sum {} over {} ranks\n", x, comm.size());
  fmt::print(stderr, "rank {} got {}\n", comm.rank(), x);
}

/// Until FOLDER/end appears, or a failure.
void loop(Communicator& comm, const std::string& folder) {
  std::vector<float> x(10000);
  for (int32_t end = 0; !end;) {
    comm.allReduce(x.data(), int64_t(x.size()), DType::f32, ReduceOp::sum);
    end = std::filesystem::exists(folder + "/end");
    comm.broadcast(&end, sizeof end, 0);
    std::this_thread::sleep_for(1ms);
  }
  if (comm.rank() == 0) fmt::print("ended\n");
}

/// The exit code: 1 when a check failed, which was printed.
int conform(Communicator& comm) {
  for (const ConformanceCheck& check : conformanceChecks()) check.run(comm);
  if (comm.rank() == 0) fmt::print("{} checks\n", conformanceChecks().size());
  return testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed() ? 1 : 0;
}

LinkProbeOptions fewSizes() {
  LinkProbeOptions options;
  options.perSize = Seconds(2e-3);
  options.most = Bytes(1 << 18);
  return options;
}

/// Every rank prints the link.
void probe(Communicator& comm) {
  CollectiveMeasurement like;
  like.transport = "a pipe";
  const LinkSpec link = probeLink(comm, LinkKind::ethernet, like, fewSizes()).link;
  fmt::print(stderr, "rank {}: {} s, {} B/s\n", comm.rank(), link.latency.value,
             link.bandwidth.value);
  if (comm.rank() == 0) fmt::print("{} {}\n", link.latency.value, link.bandwidth.value);
}

/// Rank 0 prints the link as a cluster file has it.
void printLink(Communicator& comm) {
  CollectiveMeasurement like;
  like.nodes = comm.size();
  const LinkSpec link = probeLink(comm, LinkKind::ethernet, like).link;
  if (comm.rank() == 0) fmt::print("{}\n", linkSpecJson(link).dump());
}

int runRank(const std::string& folder, const std::string& what) {
  const LaunchInfo launch = readLaunch();
  const auto comm = connect(launch);
  std::ofstream(fmt::format("{}/rank{}.pid.new", folder, comm->rank())) << getpid();
  std::filesystem::rename(fmt::format("{}/rank{}.pid.new", folder, comm->rank()),
                          fmt::format("{}/rank{}.pid", folder, comm->rank()));
  if (what == "sum") sumOnce(*comm);
  if (what == "loop") loop(*comm, folder);
  if (what == "probe") probe(*comm);
  if (what == "link") printLink(*comm);
  if (what == "conformance") return conform(*comm);
  if (what == "busy") {
    if (comm->rank() == 0) std::this_thread::sleep_for(60s);
    loop(*comm, folder);
  }
  if (what == "input-error") {
    if (comm->rank() == 2) {
      comm->abort("a broken file");
      throw Error(ErrorKind::input, "a broken file");
    }
    loop(*comm, folder);
  }
  if (what == "leave") {
    if (comm->rank() == 1) return 0;
    comm->barrier();
  }
  return 0;
}

int run(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  if (mode == "launch" && count == 5)
    return launchProcesses({"/proc/self/exe", "rank", arguments[3], arguments[4]},
                           std::atoi(arguments[2]));
  if (mode == "rank" && count == 4) return runRank(arguments[2], arguments[3]);
  throw Error(ErrorKind::usage, "rank_program launch RANKS FOLDER WHAT");
}

}  // namespace
}  // namespace meshplan

int main(int count, char** arguments) {
  try {
    return meshplan::run(count, arguments);
  } catch (const meshplan::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return meshplan::exitCode(e.kind());
  }
}
