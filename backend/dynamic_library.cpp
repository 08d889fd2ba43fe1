// SPDX-License-Identifier: Apache-2.0
#include "backend/dynamic_library.h"

#include <dlfcn.h>
#include <fmt/core.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolders = "MESHPLAN_CUDA_LIBRARIES";
constexpr const char* kToolkitFolders[] = {"/usr/local/cuda/lib64",
                                           "/usr/local/cuda/extras/CUPTI/lib64"};

/// The folder and, for the folder of Python's packages, the lib folder of each.
void addFolders(const std::string& folder, std::vector<std::string>& folders) {
  folders.push_back(folder);
  std::error_code ignored;
  std::vector<std::string> packages;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (fs::is_directory(entry.path() / "lib", ignored))
      packages.push_back((entry.path() / "lib").string());
  std::sort(packages.begin(), packages.end());
  folders.insert(folders.end(), packages.begin(), packages.end());
}

std::vector<std::string> foldersOf(std::string_view text) {
  std::vector<std::string> folders;
  while (!text.empty()) {
    const size_t end = std::min(text.find(':'), text.size());
    if (end > 0) addFolders(std::string(text.substr(0, end)), folders);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  folders.insert(folders.end(), std::begin(kToolkitFolders), std::end(kToolkitFolders));
  return folders;
}

std::string pathOf(void* handle, const std::string& file) {
  const link_map* map = nullptr;
  const bool known = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map && *map->l_name;
  return known ? map->l_name : file;
}

}  // namespace

std::vector<std::string> libraryCandidates(const LibraryNames& names, std::string_view folders) {
  std::vector<std::string> candidates = names.sonames;
  std::error_code ignored;
  for (const std::string& folder : foldersOf(folders))
    for (const std::string& soname : names.sonames)
      if (const fs::path file = fs::path(folder) / soname; fs::exists(file, ignored))
        candidates.push_back(file.string());
  return candidates;
}

std::optional<DynamicLibrary> DynamicLibrary::open(const std::string& file, std::string& reason,
                                                   Symbols symbols) {
  const int scope = symbols == Symbols::shared ? RTLD_GLOBAL : RTLD_LOCAL;
  if (void* handle = dlopen(file.c_str(), RTLD_NOW | scope))
    return DynamicLibrary({file, {file}, {}}, handle, pathOf(handle, file));
  const char* error = dlerror();
  reason = error ? error : "unknown reason";
  return std::nullopt;
}

DynamicLibrary::DynamicLibrary(const LibraryNames& names) : names_(names) {
  const char* folders = std::getenv(kFolders);
  std::string reason;
  for (const std::string& file : libraryCandidates(names, folders ? folders : "")) {
    std::string ofThis;
    if (const auto library = open(file, ofThis)) {
      handle_ = library->handle_;
      path_ = library->path_;
      return;
    }
    // A file that is there and does not open says more than a name that is not found.
    if (reason.empty() || file.find('/') != std::string::npos) reason = ofThis;
  }
  throw Error(ErrorKind::runtime, fmt::format("{} cannot be opened: {}", names.name, reason),
              fmt::format("{}, or name its folder in {}", names.remedy, kFolders));
}

void* DynamicLibrary::find(const char* symbol) const {
  return dlsym(handle_, symbol);
}

void* DynamicLibrary::required(const char* symbol) const {
  if (void* at = find(symbol)) return at;
  throw Error(ErrorKind::runtime, fmt::format("{} ({}) has no {}", names_.name, path_, symbol),
              names_.remedy);
}

void DynamicLibrary::requireVersion(int64_t found, int64_t least) const {
  if (found >= least) return;
  throw Error(ErrorKind::runtime,
              fmt::format("{} {} ({}) is too old: {} is needed", names_.name,
                          libraryVersionText(found), path_, libraryVersionText(least)),
              names_.remedy);
}

std::string libraryVersionText(int64_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace meshplan
