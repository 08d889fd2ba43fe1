// SPDX-License-Identifier: Apache-2.0
#include "profiles/known_profiles.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "core/error.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

fs::path shippedFolder() {
  if (const char* named = std::getenv("MESHPLAN_SHIPPED_PROFILES"); named && *named)
    return std::string_view(named) == "none" ? "" : named;
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  return program.parent_path().parent_path() / "share" / "meshplan" / "profiles";
}

template <class Row>
void append(std::vector<Row>& rows, std::vector<Row> more) {
  std::move(more.begin(), more.end(), std::back_inserter(rows));
}

void gather(KnownProfiles& known, const std::string& path, const std::string& device) {
  try {
    const ProfileStore store(path, ProfileStore::Access::read);
    auto operators = store.operators(device);
    append(known.collectives, store.collectives(device));
    append(known.operators, std::move(operators));
  } catch (const Error& error) {
    known.problems.emplace_back(error.what());
  }
}

}  // namespace

std::vector<std::string> shippedProfilePaths() {
  std::vector<std::string> paths;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(shippedFolder(), missing))
    if (entry.path().extension() == ".db") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

KnownProfiles knownProfiles(const std::string& path, const std::string& device) {
  KnownProfiles known;
  for (const std::string& shipped : shippedProfilePaths()) gather(known, shipped, device);
  if (std::error_code unknown; !path.empty() && (fs::exists(path, unknown) || unknown))
    gather(known, path, device);
  return known;
}

}  // namespace meshplan
