// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/cluster.h"

namespace meshplan {

class JsonFields;

/// Devices and links by name: what a cluster file may mention without describing it.
struct Hardware {
  std::map<std::string, DeviceSpec> devices;
  std::map<std::string, LinkSpec> links;
};

/// One device or link in the keys of docs/formats.md ("Cluster"): SI units, `name` given from
/// outside. They read their own keys and leave `finish` to the caller, who may have more. Values
/// must be positive and finite.
DeviceSpec readDeviceSpec(JsonFields& fields, std::string name);
LinkSpec readLinkSpec(JsonFields& fields, std::string name);
nlohmann::json deviceSpecJson(const DeviceSpec& spec);
nlohmann::json linkSpecJson(const LinkSpec& spec);

}  // namespace meshplan
