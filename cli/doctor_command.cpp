// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "backend/comm/mpi.h"
#include "backend/cores.h"
#include "backend/gpus.h"
#include "backend/host_memory.h"
#include "backend/local_machine.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/profile_store.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription =
    "Says what this machine can run plans on, and what is missing.\n"
    "\n"
    "Examples:\n"
    "  meshplan doctor\n"
    "  meshplan doctor --format json\n";

enum class Health : uint8_t { fine, absent, warning };

std::string_view healthName(Health h) {
  return h == Health::fine ? "ok" : h == Health::absent ? "absent" : "warning";
}

/// One thing that was looked at; `remedy` is empty where nothing is to be done.
struct Finding {
  std::string subject, state;
  Health health = Health::fine;
  std::string remedy = {};
};
using Findings = std::vector<Finding>;

Finding processor() {
  return {"processor", localEnvironment(localRanks(1)).fingerprint};
}

Finding memory() {
  return {"memory",
          fmt::format("{} free of {}", bytesText(availableMemory()), bytesText(physicalMemory()))};
}

std::string gpuText(const Gpu& gpu) {
  return fmt::format("{}, {} free of {}, compute capability {}.{}, {} multiprocessors", gpu.name,
                     bytesText(freeMemory(gpu)), bytesText(gpu.memory), gpu.capability / 10,
                     gpu.capability % 10, gpu.multiprocessors);
}

void addGpus(Findings& findings) {
  constexpr int kLeastCapability = 80;
  const GpuState state = gpuState();
  if (!state.runtime.empty())
    findings.push_back(
        {"CUDA", fmt::format("{}, {}", state.runtime,
                             state.driver.empty() ? "no driver" : "driver for " + state.driver)});
  if (state.gpus.empty()) findings.push_back({"GPU", state.problem, Health::absent, state.remedy});
  for (const Gpu& gpu : state.gpus) {
    findings.push_back({fmt::format("GPU {}", gpu.index), gpuText(gpu)});
    if (gpu.capability < kLeastCapability) {
      findings.back().health = Health::warning;
      findings.back().remedy = "kernels are for compute capability 8.0 and later";
    }
  }
}

void addLibraries(Findings& findings) {
  for (const GpuLibrary& library : gpuLibraries()) {
    if (library.problem.empty())
      findings.push_back({library.name, fmt::format("{}, {}", library.version, library.path)});
    else
      findings.push_back({library.name, library.problem, Health::absent, library.remedy});
  }
}

Finding mpi() {
  if (mpiAvailable()) return {"MPI", "can be opened"};
  return {"MPI", "not found: ranks of mpirun exchange over sockets", Health::absent,
          "install Open MPI before Meshplan is built"};
}

Finding profiles() {
  const std::string path = defaultProfilePath();
  if (path.empty()) return {"profiles", "none: MESHPLAN_PROFILES says so"};
  if (!std::filesystem::exists(path)) return {"profiles", path + ", nothing measured yet"};
  try {
    const ProfileStore store(path, ProfileStore::Access::read);
    store.check();
    return {"profiles", fmt::format("{}, {} rows of operators, {} runs", path,
                                    groupedText(static_cast<double>(store.operators().size())),
                                    groupedText(static_cast<double>(store.runs().size())))};
  } catch (const Error& error) {
    return {"profiles", error.what(), Health::warning, error.remedy()};
  }
}

/// NCCL's ranks on one host exchange through it; a container has 64 MiB unless told otherwise.
void addSharedMemory(Findings& findings) {
  constexpr int64_t kLeast = int64_t{256} << 20;
  struct statvfs fs {};
  if (statvfs("/dev/shm", &fs) != 0) return;
  const Bytes size(static_cast<int64_t>(fs.f_blocks) * static_cast<int64_t>(fs.f_frsize));
  Finding found{"/dev/shm", bytesText(size)};
  if (size.value < kLeast) {
    found.health = Health::warning;
    found.remedy = "start the container with --shm-size=1g: NCCL's ranks exchange through it";
  }
  findings.push_back(found);
}

void addEnvironment(Findings& findings) {
  const char* blocking = std::getenv("CUDA_LAUNCH_BLOCKING");
  if (blocking && std::string(blocking) == "1")
    findings.push_back({"environment", "CUDA_LAUNCH_BLOCKING=1", Health::warning,
                        "unset it: NCCL hangs with it, and nothing overlaps"});
}

Findings examine() {
  Findings findings{processor(), memory()};
  addGpus(findings);
  addLibraries(findings);
  findings.push_back(mpi());
  addSharedMemory(findings);
  addEnvironment(findings);
  findings.push_back(profiles());
  return findings;
}

class DoctorCommand : public Command {
 public:
  explicit DoctorCommand(CLI::App& app) : Command(&app) { format_.addTo(app, {"table", "json"}); }

  int run() override {
    const Findings findings = examine();
    print(format_.format() == Format::json ? json(findings) : text(findings));
    return 0;
  }

 private:
  static std::string text(const Findings& findings) {
    Table table{{{"what"}, {""}, {"found"}}, {}};
    for (const Finding& f : findings)
      table.rows.push_back({f.subject, std::string(healthName(f.health)), f.state});
    std::string out = render(table, TableFormat::text);
    for (const Finding& f : findings)
      if (!f.remedy.empty())
        out += "\n" + wrap(fmt::format("{}: {}.", f.subject, f.remedy), 98, "  ") + "\n";
    return out;
  }

  static std::string json(const Findings& findings) {
    ordered_json document{{"schema_version", 1}, {"meshplan", MESHPLAN_VERSION}};
    for (const Finding& f : findings) {
      ordered_json entry{
          {"subject", f.subject}, {"health", healthName(f.health)}, {"state", f.state}};
      if (!f.remedy.empty()) entry["remedy"] = f.remedy;
      document["findings"].push_back(entry);
    }
    return dumpJson(document);
  }

  FormatArgument format_;
};

}  // namespace

std::unique_ptr<Command> doctorCommand(CLI::App& parent) {
  return std::make_unique<DoctorCommand>(*parent.add_subcommand("doctor", kDescription));
}

}  // namespace meshplan
