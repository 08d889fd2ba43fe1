// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/cluster.h"

namespace meshplan {

/// The catalogue's name of a device as others write it: without the maker ("NVIDIA", "Tesla"),
/// words in any order ("A100 80GB PCIe", "A100-80GB-SXM4"), the form or the memory left out when
/// only one is known. Throws Error(input) when the catalogue has no such device.
std::string catalogueDevice(const std::string& text);

/// The catalogue's spelling of one of its names or aliases; other text as it is.
std::string catalogueSpelling(const std::string& name);

/// What a file says about the device it was measured on; 0: it does not say.
struct ReportedDevice {
  std::string name;
  Bytes memory;
  int64_t multiprocessors = 0;
};

/// `name` is the catalogue's where it has the device, else as the file writes it. `doubt`, empty
/// when there is none, says why the catalogue's device may be another one: its name was found only
/// after words were left out, or memory or multiprocessors differ (10 % of the memory may be the
/// driver's). A device whose multiprocessors or memory contradict the catalogue's keeps its own
/// name.
struct DeviceMatch {
  std::string name, doubt;
};
DeviceMatch matchDevice(const ReportedDevice& device);

}  // namespace meshplan
