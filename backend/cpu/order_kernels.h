// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Kernels that depend on the order of elements along one axis (docs/operators.md). Attributes are
/// ONNX's: `select_last_index`, `largest`, `sorted` (TopK always sorts; equal values keep the lower
/// index first), `exclusive`, `reverse`.
void argMaxForward(CpuContext&, const KernelCall&);
void argMinForward(CpuContext&, const KernelCall&);
void topKForward(CpuContext&, const KernelCall&);
void topKBackward(CpuContext&, const KernelCall&);
void cumSumForward(CpuContext&, const KernelCall&);
void cumSumBackward(CpuContext&, const KernelCall&);

}  // namespace meshplan
