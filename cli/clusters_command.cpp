// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/cluster_json.h"
#include "profiles/catalog.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription =
    "Lists the machines and devices that are known by name, or describes one cluster.\n"
    "\n"
    "Examples:\n"
    "  meshplan clusters\n"
    "  meshplan clusters 2x8xA100-SXM-80GB\n"
    "  meshplan clusters dgx-h100 --format json > cluster.json\n";

std::string price(double dollars) {
  return dollars > 0 ? fmt::format("{:.2f}", dollars) : std::string();
}

std::string teraflops(const DeviceSpec& d, DType dtype) {
  const auto peak = d.matrixPeak.find(dtype);
  return peak == d.matrixPeak.end() ? std::string("-")
                                    : fmt::format("{:.4g}", peak->second.value / 1e12);
}

std::string gigabytes(BytesPerSecond b) {
  return fmt::format("{:.4g}", b.value / 1e9);
}

Table deviceTable(const Catalog& catalog) {
  Table table{{{"device"},
               {"memory", true},
               {"GB/s", true},
               {"bf16 TFLOP/s", true},
               {"fp16 TFLOP/s", true},
               {"fp32 TFLOP/s", true},
               {"US$/h", true}},
              {}};
  for (const auto& [name, d] : catalog.hardware().devices)
    table.rows.push_back({name, bytesText(d.memory), gigabytes(d.memoryBandwidth),
                          teraflops(d, DType::bf16), teraflops(d, DType::f16),
                          fmt::format("{:.4g}", d.vectorPeak.value / 1e12), price(d.pricePerHour)});
  return table;
}

Table nodeTable(const Catalog& catalog) {
  Table table{{{"node"},
               {"devices", true},
               {"device"},
               {"inside"},
               {"adapters", true},
               {"network"},
               {"US$/h", true}},
              {}};
  for (const auto& [name, n] : catalog.nodes()) {
    const bool direct = n.interconnect.bandwidth.value > 0;
    table.rows.push_back({name, fmt::format("{}", n.devices), n.device.name,
                          direct ? n.interconnect.name : n.pcie.name,
                          fmt::format("{}", n.network.nics), n.network.link.name,
                          price(n.pricePerHour)});
  }
  return table;
}

Table linkTable(const Cluster& cluster) {
  std::vector<int64_t> counts(cluster.linkSpecs().size(), 0);
  for (const Link& l : cluster.links()) counts[l.spec] += l.width;
  Table table{{{"link"}, {"kind"}, {"count", true}, {"GB/s", true}, {"latency", true}}, {}};
  for (size_t i = 0; i < counts.size(); ++i) {
    const LinkSpec& s = cluster.linkSpecs()[i];
    table.rows.push_back({s.name, std::string(linkKindName(s.kind)),
                          groupedText(static_cast<double>(counts[i])), gigabytes(s.bandwidth),
                          secondsText(s.latency)});
  }
  return table;
}

std::string describe(const Cluster& cluster) {
  std::string out = fmt::format(
      "{}: {} devices in {} node{}{}{}\n", bold(cluster.name), cluster.deviceCount(),
      cluster.nodeCount(), cluster.nodeCount() == 1 ? "" : "s",
      cluster.pricePerHour > 0 ? fmt::format(", {:.2f} US$ per hour", cluster.pricePerHour) : "",
      cluster.multicast ? ", in-network reduction inside a node" : "");
  for (const DeviceSpec& d : cluster.specs())
    out += fmt::format("{}: {}, {} GB/s, {} TFLOP/s bf16 ({})\n", d.name, bytesText(d.memory),
                       gigabytes(d.memoryBandwidth), teraflops(d, DType::bf16), d.source);
  return out + "\n" + render(linkTable(cluster), TableFormat::text, "  ");
}

class ClustersCommand : public Command {
 public:
  explicit ClustersCommand(CLI::App& app) : Command(&app) {
    app.add_option("CLUSTER", cluster_, "A preset, the name of a node or a cluster file");
    app.add_option("--device", device_, "The devices of a cluster file that does not name them")
        ->type_name("NAME");
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    const bool json = format_.format() == Format::json;
    if (cluster_.empty()) {
      const Catalog catalog = Catalog::builtIn();
      print(json ? listJson(catalog) : listText(catalog));
    } else {
      const Cluster cluster = loadCluster(cluster_, device_);
      print(json ? clusterToJson(cluster) : describe(cluster));
    }
    return 0;
  }

 private:
  static std::string listText(const Catalog& catalog) {
    return render(nodeTable(catalog), TableFormat::text) + "\n" +
           render(deviceTable(catalog), TableFormat::text) +
           "\nBy number: 8xH100-SXM, 16x8xA100-SXM-80GB, 4xdgx-h100; with another network: "
           "2xdgx-a100:ndr.\n";
  }

  static std::string listJson(const Catalog& catalog) {
    ordered_json out = {{"schema_version", 1},
                        {"nodes", ordered_json::array()},
                        {"devices", ordered_json::array()}};
    for (const auto& [name, n] : catalog.nodes())
      out["nodes"].push_back({{"name", name},
                              {"device", n.device.name},
                              {"devices", n.devices},
                              {"price_per_hour_usd", n.pricePerHour},
                              {"source", n.source}});
    for (const auto& [name, d] : catalog.hardware().devices)
      out["devices"].push_back({{"name", name},
                                {"memory_bytes", d.memory.value},
                                {"memory_bandwidth", d.memoryBandwidth.value},
                                {"price_per_hour_usd", d.pricePerHour},
                                {"source", d.source}});
    return dumpJson(out);
  }

  FormatArgument format_;
  std::string cluster_, device_;
};

}  // namespace

std::unique_ptr<Command> clustersCommand(CLI::App& parent) {
  return std::make_unique<ClustersCommand>(*parent.add_subcommand("clusters", kDescription));
}

}  // namespace meshplan
