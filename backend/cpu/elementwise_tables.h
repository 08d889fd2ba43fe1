// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// The parts of the elementwise family, one file each; elementwiseKernels() joins them.
std::span<const CpuKernels> unaryKernels();
std::span<const CpuKernels> binaryKernels();
std::span<const CpuKernels> gatedKernels();
std::span<const CpuKernels> rotaryKernels();

}  // namespace meshplan
