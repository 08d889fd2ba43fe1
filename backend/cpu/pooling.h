// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The kernels of pooling, and what they share.

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

// max_pooling.cpp: gradients go to the first of equal elements of a window.
void maxPool(CpuContext& context, const KernelCall& call);
void maxPoolGradient(CpuContext& context, const KernelCall& call);

// global_pooling.cpp: averages divide by whole extents, so that parts of an image add up.
void globalAverage(CpuContext& context, const KernelCall& call);
void globalAverageGradient(CpuContext& context, const KernelCall& call);
void globalMax(CpuContext& context, const KernelCall& call);
void globalMaxGradient(CpuContext& context, const KernelCall& call);
void globalLp(CpuContext& context, const KernelCall& call);
void globalLpGradient(CpuContext& context, const KernelCall& call);

/// The p of a p-norm y = (sum |x|^p)^(1/p), and d y / d x.
double normOrder(const KernelCall& call);
double normSlope(double x, double y, double p);

}  // namespace meshplan
