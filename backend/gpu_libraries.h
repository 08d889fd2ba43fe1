// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/dynamic_library.h"

namespace meshplan {

/// What the GPU backend opens at run time, the version of CUDA 13 before that of CUDA 12.
LibraryNames cublasLtNames();
LibraryNames cudnnNames();
LibraryNames ncclNames();
LibraryNames cuptiNames();

}  // namespace meshplan
