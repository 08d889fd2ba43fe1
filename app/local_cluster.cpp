// SPDX-License-Identifier: Apache-2.0
#include "app/local_cluster.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <filesystem>
#include <string_view>

#include "backend/comm/in_process.h"
#include "backend/link_probe.h"
#include "backend/local_machine.h"
#include "core/error.h"
#include "profiles/load_cluster.h"
#include "profiles/profile_store.h"
#include "profiles/set_aside.h"

namespace meshplan {
namespace {

constexpr std::string_view kLocal = "local";
constexpr int kMostRanks = 1024;

std::optional<ProfileStore::MeasuredDevice> knownDevice(const Environment& environment,
                                                        const std::string& profiles) {
  if (profiles.empty() || !std::filesystem::exists(profiles)) return std::nullopt;
  for (ProfileStore::MeasuredDevice& d :
       ProfileStore(profiles, ProfileStore::Access::read).devices())
    if (d.environment == environment) return std::move(d);
  return std::nullopt;
}

LinkProbe measureLink(const Environment& environment) {
  CollectiveMeasurement like;
  like.environment = environment;
  like.source = {Origin::measured, "link", std::time(nullptr)};
  like.transport = "threads";
  LinkProbe probe;
  runInProcess(2, [&](Communicator& world) {
    LinkProbe own = probeLink(world, LinkKind::memory, like);
    if (world.rank() == 0) probe = std::move(own);
  });
  probe.link.name = "shared-memory";
  return probe;
}

ProfileStore::MeasuredDevice measureDevice(const LocalRanks& ranks, const Environment& environment,
                                           const Tell& tell) {
  tell({Notice::Kind::progress, "measuring this processor ..."});
  ProfileStore::MeasuredDevice d;
  d.environment = environment;
  d.device = measureLocalDevice(ranks);
  d.link = measureLink(environment).link;
  d.time = std::time(nullptr);
  tell({Notice::Kind::progress, ""});
  return d;
}

}  // namespace

std::optional<int> localRankCount(const std::string& cluster) {
  if (cluster == kLocal) return localRanks(1).cores;
  if (cluster.rfind("local:", 0) != 0) return std::nullopt;
  const std::string_view text = std::string_view(cluster).substr(kLocal.size() + 1);
  int ranks = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), ranks);
  if (failed != std::errc() || end != text.data() + text.size() || ranks < 1 || ranks > kMostRanks)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no number of local ranks", cluster),
                "write for example local:4")
        .at("--cluster");
  return ranks;
}

Cluster loadLocalCluster(int count, const std::string& profiles, const Tell& tell, int threads) {
  LocalRanks ranks = localRanks(count);
  if (threads > 0) ranks.threads = threads;
  const Environment environment = localEnvironment(ranks);
  auto device = knownDevice(environment, profiles);
  if (!device) {
    device = measureDevice(ranks, environment, tell);
    OpenedStore opened = openOrSetAside(profiles);
    if (!opened.message.empty()) tell({Notice::Kind::warning, opened.message});
    if (opened.store) opened.store->add(environment, device->device, device->link, device->time);
  }
  DeviceSpec share = device->device;
  share.memory = physicalMemory() / count;
  return localCluster(ranks, share, device->link);
}

Cluster loadNamedCluster(const std::string& text, const std::string& device,
                         const std::string& profiles, const Tell& tell) {
  if (const auto ranks = localRankCount(text)) return loadLocalCluster(*ranks, profiles, tell);
  return loadCluster(text, device);
}

}  // namespace meshplan
