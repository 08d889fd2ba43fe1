// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "backend/host_tensor.h"

namespace meshplan {

/// NumPy's .npy files (numpy.lib.format, versions 1 to 3): one array of f2 f4 f8 i1 i2 i4 i8 u1 b1,
/// in C or Fortran order and either byte order. u2 and u4 are widened to int32 and int64. Throws
/// Error(input) for anything else: truncated or trailing bytes, other element types (objects
/// included), shapes that overflow.
HostTensor readNpy(const std::string& path);
HostTensor npyFromBytes(std::string_view bytes);

/// Version 1, little-endian, C order. bfloat16 is written as fp32. Throws Error(input) for dtypes
/// that NumPy lacks.
void writeNpy(const std::string& path, const HostTensor& tensor);
std::string npyToBytes(const HostTensor& tensor);

}  // namespace meshplan
