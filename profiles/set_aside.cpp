// SPDX-License-Identifier: Apache-2.0
#include "profiles/set_aside.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>

#include "core/error.h"
#include "profiles/profile_database.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

/// Holds the folder of a file: shared against its being renamed between the opening of a store and
/// that of its journal, which would be the new file's; exclusive against others who would rename it
/// too, for the second must find the new file, and not set that aside.
class FolderLock {
 public:
  FolderLock(const fs::path& file, int operation)
      : folder_(::open(fs::absolute(file).parent_path().c_str(), O_RDONLY | O_DIRECTORY)) {
    if (folder_ >= 0) ::flock(folder_, operation);
  }
  ~FolderLock() {
    if (folder_ >= 0) ::close(folder_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int folder_;
};

ProfileStore openSound(const std::string& path) {
  ProfileStore store(path);
  store.check();
  return store;
}

bool mayBeSetAside(const ProfileError& error, const std::string& path) {
  if (error.fault == ProfileFault::damaged) return true;
  return error.fault == ProfileFault::foreign && path == defaultProfilePath() &&
         fs::is_regular_file(path);
}

std::string freeName(const std::string& path) {
  const std::string base =
      fmt::format("{}.damaged-{:%Y%m%d-%H%M%S}", path, fmt::gmtime(std::time(nullptr)));
  std::string name = base;
  for (int i = 2; fs::exists(name) || fs::exists(name + "-journal"); ++i)
    name = fmt::format("{}-{}", base, i);
  return name;
}

// The journal goes first: beside a new file of its old name it would be taken for that file's.
std::string setAside(const std::string& path) {
  const std::string name = freeName(path);
  if (fs::exists(path + "-journal")) fs::rename(path + "-journal", name + "-journal");
  fs::rename(path, name);
  return name;
}

OpenedStore replaceDamaged(const std::string& path) {
  const FolderLock lock(path, LOCK_EX);
  try {
    return {openSound(path), ""};
  } catch (const ProfileError& error) {
    if (!mayBeSetAside(error, path)) throw;
    const std::string name = setAside(path);
    return {ProfileStore(path), fmt::format("{}: {}; it is kept as {} and a new one begins", path,
                                            error.problem(), fs::path(name).filename().string())};
  }
}

}  // namespace

OpenedStore openOrSetAside(const std::string& path) {
  if (path.empty()) return {};
  try {
    try {
      const FolderLock lock(path, LOCK_SH);
      return {openSound(path), ""};
    } catch (const ProfileError& error) {
      if (!mayBeSetAside(error, path)) throw;
    }
    return replaceDamaged(path);
  } catch (const Error& error) {
    return {std::nullopt, fmt::format("{}; measurements are not kept", error.what())};
  } catch (const fs::filesystem_error& error) {
    return {std::nullopt, fmt::format("{}: damaged, and cannot be renamed: {}; measurements are "
                                      "not kept",
                                      path, error.code().message())};
  }
}

}  // namespace meshplan
