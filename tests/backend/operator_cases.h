// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "tests/backend/kernel_harness.h"

namespace meshplan {

/// Small cases of every operator with a gradient, in fp64, with inputs away from kinks (0.01 and
/// more). None for an operator that has no cases yet.
std::vector<KernelCase> operatorCases(std::string_view def);
/// By family, joined by operatorCases.
std::vector<KernelCase> elementwiseCases();
std::vector<KernelCase> movementCases();
std::vector<KernelCase> layerCases();
std::vector<KernelCase> windowCases();  // convolutions and poolings
std::vector<KernelCase> recurrentCases();

/// An operator without kernels and why that is right.
struct WithoutKernels {
  std::string_view def, reason;
};
std::span<const WithoutKernels> operatorsWithoutKernels();

/// "Gemm[0]", for failures.
std::string caseName(const KernelCase& c, size_t index);

}  // namespace meshplan
