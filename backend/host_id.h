// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan {

/// What tells hosts apart, also from inside containers: the kernel's boot_id, else the host's name.
std::string hostId();
/// For messages.
std::string hostName();

}  // namespace meshplan
