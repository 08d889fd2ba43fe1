// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/cluster.h"
#include "core/hardware_json.h"

namespace meshplan {

/// The explicit form of a cluster file (docs/formats.md, "Cluster"): every number that a plan
/// depends on, with equal nodes written once, so that a plan can carry the machine it was made for.
/// `clusterFromJson` of the text gives the same devices, nodes, names, links and routes, and
/// writing that again gives the same text.
std::string clusterToJson(const Cluster& cluster);

/// Reads the explicit form and validates it. Names of devices and links that the file does not
/// describe are looked up in `hardware`. Throws Error(input) naming `file` and the place in it.
Cluster clusterFromJson(const std::string& text, const std::string& file,
                        const Hardware& hardware = {});

}  // namespace meshplan
