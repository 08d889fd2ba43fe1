// SPDX-License-Identifier: Apache-2.0
#include "cli/loading.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "app/human.h"
#include "app/local_cluster.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

bool isChromeTrace(const std::string& path) {
  return std::filesystem::path(path).extension() == ".json";
}

}  // namespace

std::unique_ptr<Planning> loadPlanning(const ModelArguments& model,
                                       const TrainingArguments& training,
                                       const ClusterArguments& cluster) {
  std::optional<Bytes> limit;
  if (!cluster.memoryLimit.empty()) limit = parseBytes(cluster.memoryLimit, "--memory-limit");
  const TrainingOptions options = training.options();
  const ProfileUse profiles = cluster.profiles.use();
  return std::make_unique<Planning>(
      model.request(), options,
      loadNamedCluster(cluster.cluster, cluster.device, profiles.path, tellTerminal), limit,
      profiles, tellTerminal);
}

int64_t defaultGlobalBatch(const Planning& planning) {
  const int64_t each = defaultBatchPerDevice(planning);
  const int64_t batch = each * static_cast<int64_t>(planning.cluster().deviceCount());
  note(fmt::format("global batch {}, {} per device; --global-batch sets it", batch, each));
  return batch;
}

void checkTraceName(const std::string& path) {
  const auto extension = std::filesystem::path(path).extension();
  if (extension != ".json" && extension != ".pftrace" && extension != ".perfetto-trace")
    throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a trace", path),
                "end it in .json (Chrome) or .pftrace (Perfetto)")
        .at("--trace");
}

void writeTrace(const std::string& path, const Planning& planning, const Plan& plan) {
  const Simulated simulated =
      simulatePlan(planning.context(), plan, {.recordSpans = true, .recordMemory = true});
  writeTrace(path, simulated.program, {{&simulated.timeline, ""}}, planning.training().graph);
}

void writeTrace(const std::string& path, const Program& program, const TracedTimelines& timelines,
                const Graph& graph) {
  std::ofstream out(path, std::ios::binary);
  if (isChromeTrace(path))
    writeChromeTrace(out, program, timelines, graph);
  else
    writePerfettoTrace(out, program, timelines, graph);
  if (!out.flush())
    throw Error(ErrorKind::runtime, "cannot be written", "check the folder and the free space")
        .inFile(path);
  note(fmt::format("wrote {}: open it at https://ui.perfetto.dev", path));
}

}  // namespace meshplan
