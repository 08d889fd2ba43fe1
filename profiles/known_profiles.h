// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "profiles/profile_store.h"

namespace meshplan {

/// The databases that came with Meshplan, by name: *.db in the folder $MESHPLAN_SHIPPED_PROFILES
/// ("none": none), else in share/meshplan/profiles beside the folder of the program. They are only
/// ever read.
std::vector<std::string> shippedProfilePaths();

/// What is measured of a device (all devices when the name is empty) in the shipped databases and
/// in the user's own store at `path`, which may be empty or name no file. Shipped rows come first,
/// each store's oldest first. A store that cannot be read is left out and told in `problems`, one
/// line each.
struct KnownProfiles {
  std::vector<OperatorMeasurement> operators;
  std::vector<CollectiveMeasurement> collectives;
  std::vector<std::string> problems;
};
KnownProfiles knownProfiles(const std::string& path, const std::string& device = {});

}  // namespace meshplan
