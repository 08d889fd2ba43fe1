// SPDX-License-Identifier: Apache-2.0
// Two ranks in network namespaces of their own, joined by a fast or a slow link: the link is
// measured, the plan made for it differs, and what is measured agrees with what was predicted.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

const std::string kProgram = MESHPLAN_BINARY_DIR "/cli/meshplan";
const std::string kRankProgram = MESHPLAN_BINARY_DIR "/tests/rank_program";
const std::string kModel =
    "gpt --set layers=4,hidden=256,heads=4,vocab=256,seq=512 -b 2 --precision fp32 --optimizer sgd";

bool succeeds(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

/// Two network and host-name namespaces with one Ethernet link between them. They live as long as
/// the two processes that hold them.
class TwoHosts {
 public:
  /// `rate` as tc takes it ("40mbit"), in each direction; empty: as fast as the kernel can.
  TwoHosts(const ScratchFolder& folder, const std::string& name, const std::string& rate) {
    for (int h : {0, 1})
      holders_.push_back(std::make_unique<ChildProcess>(
          folder.file(""), fmt::format("{}{}", name, h),
          std::vector<std::string>{"unshare", "-n", "-u", "sh", "-c",
                                   fmt::format("hostname {} && exec sleep 1200", hostName(h))}));
    const bool ready = waitUntil([&] {
      return succeeds(fmt::format("{} hostname | grep -q {}", enter(0), hostName(0))) &&
             succeeds(fmt::format("{} hostname | grep -q {}", enter(1), hostName(1)));
    });
    works_ = ready && succeeds(fmt::format("ip link add meshplan0 netns {} type veth peer name "
                                           "meshplan1 netns {}",
                                           holders_[0]->pid(), holders_[1]->pid()));
    for (int h : {0, 1}) works_ = works_ && configure(h, rate);
  }

  bool work() const { return works_; }
  static std::string hostName(int host) { return fmt::format("meshplan-host{}", host); }
  static std::string address(int host) { return fmt::format("10.99.0.{}", host + 1); }
  /// What to put before a command that is to run there.
  std::string enter(int host) const {
    return fmt::format("nsenter -t {} -n -u", holders_[static_cast<size_t>(host)]->pid());
  }

 private:
  bool configure(int host, const std::string& rate) const {
    const std::string device = fmt::format("meshplan{}", host);
    const auto run = [&](const std::string& command) {
      return succeeds(enter(host) + " " + command);
    };
    return run("ip link set lo up") &&
           run(fmt::format("ip address add {}/24 dev {}", address(host), device)) &&
           run(fmt::format("ip link set {} up", device)) &&
           (rate.empty() ||
            run(fmt::format("tc qdisc add dev {} root tbf rate {} burst 8kb latency 100ms", device,
                            rate)));
  }

  std::vector<std::unique_ptr<ChildProcess>> holders_;
  bool works_ = false;
};

/// Why there can be no such hosts here; empty: there can.
std::string whyNoHosts() {
  if (!succeeds("unshare -n -u true"))
    return "network namespaces are not permitted here (they take root)";
  if (!succeeds("unshare -n ip link set lo up")) return "there is no `ip` (iproute2)";
  if (!succeeds("unshare -n ip link add meshplan0 type veth peer name meshplan1"))
    return "the kernel has no veth devices";
  if (!succeeds("unshare -n tc qdisc add dev lo root tbf rate 1mbit burst 8kb latency 10ms"))
    return "the kernel has no token bucket filter, or there is no `tc` (iproute2)";
  return "";
}

/// The fastest step that `run --format json` reports: other programs only make steps slower.
double fastestStep(const std::string& report) {
  const json document = json::parse(report, nullptr, false);
  double least = INFINITY;
  if (!document.is_object()) return least;
  for (const json& step : document.at("steps"))
    least = std::min(least, step.at("seconds").get<double>());
  return least;
}

class SlowLink : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string why = whyNoHosts(); !why.empty()) GTEST_SKIP() << why;
    if (GetParam() == "mpi" && !succeeds("mpirun --version")) GTEST_SKIP() << "there is no mpirun";
  }

  /// The output of rank 0 of a command that runs once on each host.
  std::string outputOnBoth(const TwoHosts& hosts, const std::string& command) {
    return GetParam() == "mpi" ? outputOfMpi(hosts, command) : outputOfSockets(hosts, command);
  }

  /// What two ranks measure of the link between them, as a cluster file has it.
  json linkOf(const TwoHosts& hosts) {
    const std::string text =
        outputOnBoth(hosts, fmt::format("{} rank {} link", kRankProgram, scratch_.file("")));
    return json::parse(text, nullptr, false);
  }

  double stepSeconds(const TwoHosts& hosts, const std::string& plan) {
    return fastestStep(outputOnBoth(
        hosts, fmt::format("{} run {} --threads 1 --steps 4 --format json", kProgram, plan)));
  }

  std::string clusterFile(const std::string& name, const json& device, const json& link) const {
    const json cluster = {{"schema_version", 1},
                          {"name", "two hosts"},
                          {"devices", {device}},
                          {"links", {link}},
                          {"node_types",
                           {{{"vertices", {{{"device", "core"}, {"count", 1}}}},
                             {"links", json::array()},
                             {"uplinks", json::array()}}}},
                          {"nodes", {{{"type", 0}, {"names", {"a", "b"}}}}},
                          {"node_links", {{0, "device0", 1, "device0", link.at("name"), 1}}}};
    return scratch_.write(name, cluster.dump());
  }

  ScratchFolder scratch_;

 private:
  std::string outputOfSockets(const TwoHosts& hosts, const std::string& command) {
    std::vector<std::unique_ptr<ChildProcess>> ranks;
    for (int r : {0, 1})
      ranks.push_back(std::make_unique<ChildProcess>(
          scratch_.file(""), fmt::format("rank{}", r), words(hosts.enter(r) + " " + command),
          std::vector<std::string>{fmt::format("RANK={}", r), "WORLD_SIZE=2", "LOCAL_RANK=0",
                                   "LOCAL_WORLD_SIZE=1", "MASTER_ADDR=" + TwoHosts::address(0),
                                   "MASTER_PORT=29512", "MESHPLAN_TOKEN=slow-link",
                                   "MESHPLAN_PROFILES=none"}));
    for (const auto& rank : ranks) EXPECT_EQ(rank->wait(300s), 0) << rank->errors();
    return ranks[0]->output();
  }

  /// mpirun runs on the first host and enters the second one where it would use ssh.
  std::string outputOfMpi(const TwoHosts& hosts, const std::string& command) {
    const std::string agent = scratch_.write(
        "enter", fmt::format("#!/bin/sh\nshift\nexec {} sh -c \"$*\"\n", hosts.enter(1)));
    fs::permissions(agent, fs::perms::owner_all);
    const std::string network = "10.99.0.0/24";
    const std::string mpirun = fmt::format(
        "{} mpirun --mca plm rsh --mca plm_rsh_agent {} --mca btl tcp,self --mca "
        "btl_tcp_if_include {} --mca oob_tcp_if_include {} --mca orte_tmpdir_base {} --host "
        "{}:1,{}:1 -x MESHPLAN_COMMUNICATOR -x MESHPLAN_PROFILES -n 2 {}",
        hosts.enter(0), agent, network, network, scratch_.file("mpi"), TwoHosts::hostName(0),
        TwoHosts::address(1), command);
    fs::create_directories(scratch_.file("mpi"));
    ChildProcess job(scratch_.file(""), "mpi-job", words(mpirun),
                     {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                      "MESHPLAN_COMMUNICATOR=mpi", "MESHPLAN_PROFILES=none"});
    EXPECT_EQ(job.wait(300s), 0) << job.errors();
    return job.output();
  }
};

json plannedOn(const std::string& cluster, const std::string& arguments) {
  const CommandResult result =
      runMeshplan(fmt::format("{} -c {} --runtime native --format json", arguments, cluster));
  EXPECT_EQ(result.exitCode, 0) << result.err;
  const json report = json::parse(result.out, nullptr, false);
  return report.is_discarded() ? json() : report.at("plans").at(0);
}

json coreOf(double scale) {
  return {{"name", "core"},
          {"architecture", "cpu"},
          {"memory", 4'000'000'000},
          {"memory_bandwidth", 1e10 * scale},
          {"vector_peak", 1e11 * scale},
          {"matrix_peak", {{"fp32", 1e11 * scale}}},
          {"source", "measured: one step of the model on one rank beside another"}};
}

std::string secondsText(double seconds) {
  return fmt::format("{:7.1f} ms", seconds * 1e3);
}

TEST_P(SlowLink, ChangesThePlanAndTheMeasurementAgrees) {
  const TwoHosts fast(scratch_, "fast", ""), slow(scratch_, "slow", "40mbit");
  ASSERT_TRUE(fast.work() && slow.work());
  const json fastLink = linkOf(fast), slowLink = linkOf(slow);
  ASSERT_TRUE(fastLink.is_object() && slowLink.is_object());
  const double rate = slowLink.at("bandwidth");
  fmt::print("{}: fast {:.3g} B/s, slow {:.3g} B/s\n", GetParam(),
             fastLink.at("bandwidth").get<double>(), rate);
  EXPECT_GT(rate, 0.5 * 5e6);
  // A bucket fills up again while the answer of a transfer comes: up to twice the rate.
  EXPECT_LT(rate, 2.2 * 5e6);
  EXPECT_GT(fastLink.at("bandwidth").get<double>(), 8 * rate);

  // How fast a core is follows from a step of a single rank, two of which run at the same time.
  const std::string guess = clusterFile("guess.json", coreOf(1), fastLink);
  const double guessed =
      plannedOn(guess, "simulate " + kModel + " --strategy dp=2,mbs=1").at("step_time_seconds");
  std::vector<std::unique_ptr<ChildProcess>> alone;
  for (int i : {0, 1})
    alone.push_back(std::make_unique<ChildProcess>(
        scratch_.file(""), fmt::format("alone{}", i),
        words(fmt::format("{} run {} -n 1 --threads 1 --steps 4 --format json --strategy mbs=1",
                          kProgram, kModel)),
        std::vector<std::string>{"MESHPLAN_PROFILES=none"}));
  double measured = 0;
  for (const auto& run : alone) {
    ASSERT_EQ(run->wait(120s), 0) << run->errors();
    measured += fastestStep(run->output()) / 2;
  }
  const json core = coreOf(2 * guessed / measured);

  const std::string files[] = {clusterFile("fast.json", core, fastLink),
                               clusterFile("slow.json", core, slowLink)};
  const TwoHosts* hosts[] = {&fast, &slow};
  std::string plans[2], strategies[2];
  for (int i : {0, 1}) {
    plans[i] = scratch_.file(fmt::format("plan{}.json", i));
    strategies[i] = plannedOn(files[i], fmt::format("plan {} -o {}", kModel, plans[i]))
                        .at("strategy")
                        .get<std::string>();
  }
  EXPECT_NE(strategies[0], strategies[1]);

  double predicted[2][2], taken[2][2];  // link, plan
  for (int link : {0, 1})
    for (int plan : {0, 1}) {
      predicted[link][plan] =
          plannedOn(files[link], "simulate " + kModel + " --plan " + plans[plan])
              .at("step_time_seconds");
      taken[link][plan] = stepSeconds(*hosts[link], plans[plan]);
      fmt::print("{} link, plan for the {} one: predicted {}, measured {}  {}\n",
                 link ? "slow" : "fast", plan ? "slow" : "fast", secondsText(predicted[link][plan]),
                 secondsText(taken[link][plan]), strategies[plan]);
    }
  EXPECT_LT(predicted[0][0], predicted[0][1]);
  EXPECT_LT(predicted[1][1], predicted[1][0]);
  EXPECT_LT(taken[0][0], taken[0][1]);
  EXPECT_LT(taken[1][1], taken[1][0]);
}

INSTANTIATE_TEST_SUITE_P(Transport, SlowLink, testing::Values("sockets", "mpi"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace meshplan
