// SPDX-License-Identifier: Apache-2.0
#include "cli/profile_arguments.h"

#include <CLI/CLI.hpp>

#include "profiles/profile_store.h"

namespace meshplan {

void ProfileArguments::addTo(CLI::App& app) {
  app.add_option("--profiles", file,
                 "The store of measurements, or none (default: $MESHPLAN_PROFILES, else "
                 "~/.local/share/meshplan/profiles.db)")
      ->type_name("FILE|none");
}

std::string ProfileArguments::path() const {
  if (file == "none") return {};
  return file.empty() ? defaultProfilePath() : file;
}

}  // namespace meshplan
