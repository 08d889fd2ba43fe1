// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan {

/// The catalogue's name of a device as others write it: without the maker ("NVIDIA", "Tesla"),
/// words in any order ("A100 80GB PCIe", "A100-80GB-SXM4"), the form or the memory left out when
/// only one is known. Throws Error(input) when the catalogue has no such device.
std::string catalogueDevice(const std::string& text);

}  // namespace meshplan
