// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/mpi.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr const char* kLibrary = "libmeshplan_mpi.so";

std::vector<std::string> placesToLook() {
  if (const char* given = std::getenv("MESHPLAN_MPI_LIBRARY")) return {given};
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::vector<std::string> places;
  for (const char* relative : {"", "../lib", "../backend", "../../backend", "../../../backend"})
    places.push_back((folder / relative / kLibrary).string());
  places.push_back(kLibrary);
  return places;
}

}  // namespace

std::unique_ptr<Communicator> connectMpi() {
  std::string reason;
  for (const std::string& place : placesToLook()) {
    void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
      reason = dlerror();
      continue;
    }
    using Connect = Communicator* (*)();
    if (const auto connect = reinterpret_cast<Connect>(dlsym(library, "meshplanConnectMpi")))
      return std::unique_ptr<Communicator>(connect());
    reason = fmt::format("{} is another library", place);
  }
  throw Error(
      ErrorKind::runtime, fmt::format("mpirun started this rank, but {}", reason),
      "build Meshplan with Open MPI's headers (libopenmpi-dev), set MESHPLAN_MPI_LIBRARY to "
      "libmeshplan_mpi.so, or start the ranks with --launch processes, torchrun or srun");
}

}  // namespace meshplan
