// SPDX-License-Identifier: Apache-2.0
#include "app/profile_cost.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "app/human.h"
#include "planner/analytic_cost.h"
#include "planner/profiled_cost.h"
#include "profiles/known_profiles.h"

namespace meshplan {
namespace {

/// Ranks of a host that its cores can run at once; 1 where every rank has a device of its own.
int ranksAtOnce(const Cluster& cluster) {
  if (cluster.coresPerNode == 0) return 1;
  const int64_t atOnce = cluster.coresPerNode / cluster.specs().front().multiprocessors;
  return static_cast<int>(std::clamp<int64_t>(atOnce, 1, cluster.devicesPerNode()));
}

/// The rows of the store and of those that ship; a store that was named must be sound.
KnownProfiles rowsOf(const std::string& device, const ProfileUse& profiles, const Tell& tell) {
  if (profiles.path.empty()) return {};
  if (profiles.named) ProfileStore(profiles.path, ProfileStore::Access::read);
  KnownProfiles known = knownProfiles(profiles.path, device);
  for (const std::string& problem : known.problems)
    tell({Notice::Kind::warning, problem + "; predicting without its measurements"});
  return known;
}

std::string sourceText(const Samples& samples, const Source& source) {
  return fmt::format("{} ({} of {:%F})", secondsText(samples.median), originName(source.origin),
                     fmt::gmtime(static_cast<std::time_t>(source.time)));
}

std::string contradictionText(const std::vector<Contradiction>& all) {
  const Contradiction& c = all.front();
  return fmt::format(
      "{}, e.g. {}: {} against {}; `meshplan profiles show` lists them",
      all.size() == 1 ? "a measurement contradicts the one that counts"
                      : fmt::format("{} measurements contradict those that count", all.size()),
      c.work, sourceText(c.counted, c.countedSource), sourceText(c.other, c.otherSource));
}

}  // namespace

std::unique_ptr<CostModel> costsOf(const Cluster& cluster, RuntimeKind runtime,
                                   const ProfileUse& profiles, const Tell& tell) {
  const DeviceSpec& device = cluster.specs().front();
  auto formula = std::make_unique<AnalyticCost>(device, runtime);
  const KnownProfiles rows = rowsOf(device.name, profiles, tell);
  if (rows.operators.empty() && rows.collectives.empty()) return formula;
  ProfileOptions options{.busy = ranksAtOnce(cluster), .transport = profiles.transport};
  if (options.transport.empty())
    options.transport = device.architecture == "cpu" ? "threads" : "nccl";
  auto cost =
      std::make_unique<ProfiledCost>(std::move(formula), rows.operators, rows.collectives, options);
  if (const auto& all = cost->contradictions(); !all.empty())
    tell({Notice::Kind::warning, contradictionText(all)});
  return cost;
}

}  // namespace meshplan
