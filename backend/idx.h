// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "backend/host_tensor.h"

namespace meshplan {

/// IDX files, the format of MNIST (yann.lecun.com/exdb/mnist): two zero bytes, an element type (u1
/// i1 i2 i4 f4 f8), the rank, big-endian extents, big-endian elements. Throws Error(input) for
/// anything else, gzipped files included, and when bytes are missing or left over.
HostTensor readIdx(const std::string& path);
HostTensor idxFromBytes(std::string_view bytes);

}  // namespace meshplan
