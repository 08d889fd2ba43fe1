// SPDX-License-Identifier: Apache-2.0
#include "backend/host_id.h"

#include <unistd.h>

#include <fstream>

namespace meshplan {

std::string hostId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id.empty() ? hostName() : id;
}

std::string hostName() {
  char name[64] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace meshplan
