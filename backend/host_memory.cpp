// SPDX-License-Identifier: Apache-2.0
#include "backend/host_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace meshplan {
namespace {

int64_t physicalMemory() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

std::optional<int64_t> fromMeminfo() {
  std::ifstream in("/proc/meminfo");
  std::string name, unit;
  for (int64_t kib = 0; in >> name >> kib; std::getline(in, unit))
    if (name == "MemAvailable:") return kib * kKiB;
  return std::nullopt;
}

std::optional<int64_t> numberIn(const std::string& path) {
  int64_t value = 0;
  if (std::ifstream(path) >> value) return value;
  return std::nullopt;  // no such file, or "max"
}

std::optional<int64_t> fromControlGroup() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    const auto limit = numberIn(folder + "/memory.max"),
               used = numberIn(folder + "/memory.current");
    if (limit && used) return std::max<int64_t>(0, *limit - *used);
  }
  return std::nullopt;
}

}  // namespace

Bytes availableMemory() {
  const int64_t free = fromMeminfo().value_or(physicalMemory());
  return Bytes(std::min(free, fromControlGroup().value_or(free)));
}

}  // namespace meshplan
