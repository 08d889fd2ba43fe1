// SPDX-License-Identifier: Apache-2.0
// Tables of single collectives: each is priced for the group that `describeGroup` finds on a
// cluster as `meshplan simulate` reads it. All-reduces report messages from 1 MiB and below it as
// two tables.
#include <fmt/format.h>

#include <cstdio>

#include "core/error.h"
#include "tests/validation/mapping.h"

namespace meshplan {
namespace {

/// What ran: one group over the first devices of a cluster, alone on it.
struct Run {
  std::string cluster;
  int64_t ranks = 2;
  CollectiveKind kind = CollectiveKind::allReduce;
  double bytes = 0;            // S of core/collective.h
  bool switchesReduce = true;  // false: in-network reduction turned off
};

Estimate timeOf(StepPredictor& predictor, const Run& run) {
  const Cluster& cluster = predictor.cluster(run.cluster);
  const DeviceMesh mesh(cluster, {.data = run.ranks});
  GroupTopology group = describeGroup(cluster, mesh, MeshAxis::data);
  group.multicast = group.multicast && run.switchesReduce;
  return predictor.queuedCost(cluster.specs().front().name)
      .collectiveTime(run.kind, Bytes(static_cast<int64_t>(run.bytes)), group);
}

double busBandwidth(const Run& run, double seconds) {
  return wireBytes(run.kind, run.bytes, run.ranks) / seconds / 1e9;
}

/// Adds the row with what `figure` makes of the seconds.
template <class F>
void add(std::vector<Prediction>& out, Prediction p, StepPredictor& predictor, const Run& run,
         F&& figure) {
  try {
    const Estimate e = timeOf(predictor, run);
    p.predicted = figure(e.time.value);
    p.uncertainty = e.uncertainty;
    if (p.device.empty()) p.device = predictor.cluster(run.cluster).specs().front().name;
  } catch (const Error& e) {
    p.problem = fmt::format("{}: {}", run.cluster, e.what());
  }
  out.push_back(std::move(p));
}

void addProblem(std::vector<Prediction>& out, Prediction p, const Error& e) {
  p.problem = e.what();
  out.push_back(std::move(p));
}

Prediction sizedRow(const Table& t, const TableRow& r, const char* unit, double measured,
                    double bytes) {
  Prediction p = rowOf(t, r, unit, measured);
  p.table += bytes < kMiB ? "_below_1mib" : "_from_1mib";
  return p;
}

// vTrain (arXiv:2312.12391), trace/{a100,v100}: nccl-tests on 2 to 8 GPUs of one node, float, out
// of place; DGX-1V's hybrid cube mesh for the V100, NVSwitch for the A100.
bool isVtrainTrace(const Table& t) {
  return t.has({"ngpus"}) && t.has({"oop_time_ns"}) && t.has({"bytes"});
}

std::string vtrainNode(const std::string& gpu) {
  if (gpu == "v100") return "dgx-1v";
  if (gpu == "a100") return "dgx-a100";
  return fmt::format("8x{}", gpu);
}

void predictVtrainTrace(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const Run run{.cluster = vtrainNode(r.text({"gpu"})),
                  .ranks = r.integer({"ngpus"}),
                  .bytes = r.number({"bytes"})};
    add(out, sizedRow(t, r, "us", r.number({"oop_time_ns"}) * 1e-3, run.bytes), predictor, run,
        [](double seconds) { return seconds * 1e6; });
  }
}

// NetX-lab/Echo: nccl-tests on Azure ND A100 v4 (A100-SXM-40GB, 8 per node, one HDR adapter per
// GPU through virtual functions), float, out of place; up to 8 GPUs in one node.
bool isAzure(const Table& t) {
  return t.has({"oop_time_us"}) && t.has({"gpus"}) && t.has({"bytes"}) && !t.has({"system"});
}

void predictAzure(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const int64_t ranks = r.integer({"gpus"});
    const Run run{.cluster = fmt::format("{}xnd96asr-v4", (ranks + 7) / 8),
                  .ranks = ranks,
                  .bytes = r.number({"bytes"})};
    add(out, sizedRow(t, r, "us", r.number({"oop_time_us"}), run.bytes), predictor, run,
        [](double seconds) { return seconds * 1e6; });
  }
}

// stas00/ml-engineering, network: nccl-tests on nodes of 8 A100, H200 and B200 (NVLS on) and on
// AWS instances with EFA. The A100 node is DGX-like. "4x8xB200_EFA" is 4 p6-b200.48xlarge,
// "P5en_4x8xH200_EFA" 4 p5en.48xlarge.
std::string systemCluster(const std::string& system, int64_t nodes) {
  const auto says = [&](const char* word) { return system.find(word) != std::string::npos; };
  const bool efa = says("EFA");
  const char* node = says("B200")   ? (efa ? "p6-b200.48xlarge" : "dgx-b200")
                     : says("H200") ? (efa ? "p5en.48xlarge" : "dgx-h200")
                     : says("H100") ? (efa ? "p5.48xlarge" : "dgx-h100")
                     : says("A100") ? (efa ? "p4de.24xlarge" : "dgx-a100")
                                    : nullptr;
  if (!node)
    throw Error(ErrorKind::input, fmt::format("no machine of the catalogue is '{}'", system));
  return fmt::format("{}x{}", nodes, node);
}

bool isBusBandwidth(const Table& t) {
  return t.has({"system"}) && t.has({"nodes"}) && t.has({"bytes"}) && t.has({"busbw_GBps"});
}

void predictBusBandwidth(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    if (r.maybe({"busbw_GBps"}).value_or(0) <= 0) continue;
    Run run{.cluster = {}, .ranks = r.integer({"gpus"}), .bytes = r.number({"bytes"})};
    const Prediction p = sizedRow(t, r, "GB/s", r.number({"busbw_GBps"}), run.bytes);
    try {
      run.cluster = systemCluster(r.text({"system"}), r.integer({"nodes"}));
      add(out, p, predictor, run, [&](double seconds) { return busBandwidth(run, seconds); });
    } catch (const Error& e) {
      addProblem(out, p, e);
    }
  }
}

// The same source: in-network reduction (NVLS) against rings; "4x8x" in a system's name says its
// nodes.
bool isNvls(const Table& t) {
  return t.has({"bytes_gib"}) && t.has({"busbw_nvls_off_GBps"});
}

CollectiveKind kindOf(const std::string& name) {
  for (CollectiveKind kind :
       {CollectiveKind::allReduce, CollectiveKind::reduceScatter, CollectiveKind::allGather,
        CollectiveKind::allToAll, CollectiveKind::broadcast, CollectiveKind::sendReceive}) {
    std::string ours(collectiveName(kind)), theirs = name;
    std::erase(ours, '-');
    std::erase(theirs, '_');
    if (ours == theirs) return kind;
  }
  throw Error(ErrorKind::input, fmt::format("no collective of ours is '{}'", name));
}

int64_t nodesIn(const std::string& system) {
  const size_t at = system.find("x8x");
  return at == std::string::npos || at == 0 || !std::isdigit(system[at - 1]) ? 1
                                                                             : system[at - 1] - '0';
}

void predictNvls(const Table& t, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows)
    for (const bool reduces : {true, false}) {
      const char* column = reduces ? "busbw_GBps" : "busbw_nvls_off_GBps";
      if (r.maybe({column}).value_or(0) <= 0) continue;
      const Prediction p = rowOf(t, r, "GB/s", r.number({column}));
      try {
        const std::string system = r.text({"system"});
        const Run run{.cluster = systemCluster(system, nodesIn(system)),
                      .ranks = r.integer({"gpus"}),
                      .kind = kindOf(r.text({"collective"})),
                      .bytes = r.number({"bytes_gib"}) * static_cast<double>(kGiB),
                      .switchesReduce = reduces};
        add(out, p, predictor, run, [&](double seconds) { return busBandwidth(run, seconds); });
      } catch (const Error& e) {
        addProblem(out, p, e);
      }
    }
}

// Galvatron, profile_hardware. sp_time (profile_allreduce.py, profile_all2all.py): M MiB of bf16
// per rank, time of one call in ms, 8 GPUs of one node. An all-to-all's M is one rank's buffer, so
// S is M x ranks. *_bandwidth: measured in 2023-24 with nccl-tests (all_reduce_perf, sendrecv_perf:
// every rank sends to the next of a ring) as the average bus bandwidth over 16, 32 ... 256 MiB of
// float (profile_hardware.sh), for the first group only, so alone; "consec_0" is strided, one or
// more ranks in each node. The devices are not named; 230 GB/s at 1 GiB are an A100's. Between
// nodes two adapters (NCCL_IB_HCA=mlx5_2,mlx5_5), which HDR is assumed for. The slow-down under
// overlap is a parameter of the model, not a prediction of it.
bool isGalvatronHardware(const Table& t) {
  return t.has({"file"}) && t.has({"key"}) && t.has({"value"});
}

std::string galvatronNode(int64_t nodes, int64_t perNode) {
  return nodes == 1 ? fmt::format("{}xA100-SXM-80GB", perNode)
                    : fmt::format("{}x{}xA100-SXM-80GB:2xinfiniband-hdr", nodes, perNode);
}

void predictCallTime(const Table& t, const TableRow& r, int64_t ranks, int64_t mebibytes,
                     bool allToAll, StepPredictor& predictor, std::vector<Prediction>& out) {
  Run run{.cluster = galvatronNode(1, 8),
          .ranks = ranks,
          .kind = allToAll ? CollectiveKind::allToAll : CollectiveKind::allReduce,
          .bytes = static_cast<double>(mebibytes * kMiB)};
  if (allToAll) run.bytes *= static_cast<double>(ranks);
  Prediction p = rowOf(t, r, "ms", r.number({"value"}));
  p.table += allToAll ? "_all_to_all" : "_all_reduce";
  add(out, p, predictor, run, [](double seconds) { return seconds * 1e3; });
}

void predictAverageBandwidth(const Table& t, const TableRow& r, int64_t ranks, int64_t nodes,
                             int64_t perNode, bool sends, StepPredictor& predictor,
                             std::vector<Prediction>& out) {
  Prediction p = rowOf(t, r, "GB/s", r.number({"value"}));
  p.table += sends ? "_send_bandwidth" : "_all_reduce_bandwidth";
  double sum = 0;
  try {
    for (int64_t mebibytes : {16, 32, 64, 128, 256}) {
      const Run run{.cluster = galvatronNode(nodes, perNode),
                    .ranks = ranks,
                    .kind = sends ? CollectiveKind::sendReceive : CollectiveKind::allReduce,
                    .bytes = static_cast<double>(mebibytes * kMiB)};
      const Estimate e = timeOf(predictor, run);
      sum += busBandwidth(run, e.time.value) / 5;
      p.uncertainty = e.uncertainty;
    }
    p.predicted = sum;
    p.device = "A100-SXM-80GB";
  } catch (const Error& e) {
    p.problem = e.what();
  }
  out.push_back(std::move(p));
}

void predictGalvatronHardware(const Table& t, StepPredictor& predictor,
                              std::vector<Prediction>& out) {
  for (const TableRow& r : t.rows) {
    const std::string &key = r.text({"key"}), &file = r.text({"file"});
    long ranks = 0, mebibytes = 0, consecutive = 1, nodes = 1, perNode = 8;
    if (const size_t at = file.find("bandwidth_"); at != std::string::npos)
      std::sscanf(file.c_str() + at, "bandwidth_%ldnodes_%ldgpus", &nodes, &perNode);
    if (std::sscanf(key.c_str(), "allreduce_size_%ld_%ldMB", &ranks, &mebibytes) == 2) {
      predictCallTime(t, r, ranks, mebibytes, false, predictor, out);
    } else if (std::sscanf(key.c_str(), "all2all_size_%ld_%ldMB", &ranks, &mebibytes) == 2) {
      predictCallTime(t, r, ranks, mebibytes, true, predictor, out);
    } else if (std::sscanf(key.c_str(), "allreduce_size_%ld_consec_%ld", &ranks, &consecutive) ==
                   2 ||
               std::sscanf(key.c_str(), "pp_size_%ld", &ranks) == 1) {
      const bool sends = key.starts_with("pp_"), spread = sends || consecutive == 0;
      const int64_t used = nodes > 1 && (spread || ranks > perNode) ? nodes : 1;
      predictAverageBandwidth(t, r, ranks, used, used > 1 ? ranks / used : perNode, sends,
                              predictor, out);
    }
  }
}

constexpr Mapping kTables[] = {
    {"all-reduce in a node", isVtrainTrace, predictVtrainTrace},
    {"all-reduce on Azure", isAzure, predictAzure},
    {"in-network reduction", isNvls, predictNvls},
    {"bus bandwidth", isBusBandwidth, predictBusBandwidth},
    {"Galvatron's hardware profile", isGalvatronHardware, predictGalvatronHardware},
};

const Mapping* mappingOf(const Table& table) {
  for (const Mapping& m : kTables)
    if (m.takes(table)) return &m;
  return nullptr;
}

}  // namespace

bool isCollectiveTable(const Table& table) {
  return mappingOf(table) != nullptr;
}

void predictCollectives(const Table& table, StepPredictor& predictor,
                        std::vector<Prediction>& out) {
  mappingOf(table)->predict(table, predictor, out);
}

}  // namespace meshplan
