// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// The parts of the movement family, one file each; movementKernels() joins them. Data moves by
/// element size, whatever its dtype.
std::span<const CpuKernels> rearrangementKernels();
std::span<const CpuKernels> paddingKernels();
std::span<const CpuKernels> resizeKernels();
std::span<const CpuKernels> fillKernels();

}  // namespace meshplan
